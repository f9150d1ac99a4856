"""docs/mcp.md, What agents read: the texts and schemas of a tool."""

from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from lambda_kit import BinaryRequest, LambdaTool, ToolOptions, UploadedFile
from lambda_kit.core.tools.agent_schema import request_for_agents, result_for_agents
from lambda_kit.core.tools.agent_tool import AgentTool, agent_tool
from lambda_kit.core.tools.schema import request_decoder
from lambda_kit.core.tools.tool import BoundTool
from lambda_kit.core.tools.type_names import type_name
from tests.core.agent_models import (
    OBJECTS,
    OTHERS,
    UNDESCRIBED,
    VALUES,
    Both,
    Cat,
    Circle,
    Counts,
    OddName,
    Options,
    Owner,
    Pair,
    Place,
    Square,
    Strict,
    Tagged,
    Tree,
    Wire,
    Words,
)
from tests.core.running_tools import Ask
from tests.support.agent_schemas import check_result, check_schema, fits, nodes


def described(tool: type[LambdaTool]) -> AgentTool:
    return agent_tool(BoundTool.bind(tool()))


# --- texts ---


def a_tool(doc: str | None, **options: Any) -> AgentTool:
    class Speak(LambdaTool):
        __doc__ = doc

        def run(self, req: Ask) -> str:
            return req.text

    Speak.options = ToolOptions(**options)
    return described(Speak)


def test_the_first_line_is_the_title_and_the_rest_the_description():
    tool = a_tool("Say it\n\n    What was said, again.\n\n    Twice.\n    ")
    assert (tool.title, tool.description) == ("Say it", "What was said, again.\n\nTwice.")


def test_one_line_is_both():
    tool = a_tool("Say it")
    assert (tool.title, tool.description) == ("Say it", "Say it")


def test_a_sentence_is_not_cut_where_its_line_ends():
    tool = a_tool("Say what was said, and\n    say it again.")
    assert (tool.title, tool.description) == ("Say what was said, and", "Say what was said, and\nsay it again.")


@pytest.mark.parametrize("doc", [None, "", "  \n "])
def test_the_description_is_never_empty(doc: str | None):
    assert a_tool(doc).description == "speak"
    labelled = a_tool(doc, name="Say something")
    assert (labelled.title, labelled.description) == ("Say something", "Say something")


# --- requests and results of all kinds ---


def name_of(value: Any) -> str | None:
    return None if isinstance(value, list) else type_name(value)


def types_of(*tables: list[tuple[Any, list[Any]]]) -> list[Any]:
    return [tp for table in tables for tp, _ in table]


@pytest.mark.parametrize("tp", types_of(OBJECTS), ids=name_of)
def test_an_object_is_described_as_it_is(tp: Any):
    for found in (request_for_agents(tp), result_for_agents(tp)):
        assert found is not None
        assert not found.is_wrapped


@pytest.mark.parametrize("tp", types_of(OTHERS), ids=name_of)
def test_anything_else_is_a_member_of_an_object(tp: Any):
    request, result = request_for_agents(tp), result_for_agents(tp)
    assert request.is_wrapped
    assert (request.schema["required"], list(request.schema["properties"])) == (["request"], ["request"])
    assert result is not None
    assert result.is_wrapped
    assert (result.schema["required"], list(result.schema["properties"])) == (["result"], ["result"])


@pytest.mark.parametrize("tp", UNDESCRIBED, ids=range(len(UNDESCRIBED)))
def test_texts_files_and_what_can_be_anything_have_no_structure(tp: Any):
    assert result_for_agents(tp) is None


@pytest.mark.parametrize("tp", types_of(OBJECTS, OTHERS), ids=name_of)
def test_the_schema_of_a_request_is_one_that_clients_take(tp: Any):
    if tp is not OddName:  # which is refused
        check_schema(request_for_agents(tp).schema)


@pytest.mark.parametrize("tp", types_of(OBJECTS, OTHERS, VALUES), ids=name_of)
def test_the_schema_of_a_result_is_one_that_clients_take(tp: Any):
    found = result_for_agents(tp)
    assert found is not None
    check_schema(found.schema)


@pytest.mark.parametrize(("tp", "values"), [*OBJECTS, *OTHERS, *VALUES], ids=name_of)
def test_what_a_tool_returns_fits_its_schema(tp: Any, values: list[Any]):
    for value in values:
        check_result(result_for_agents(tp), value)


@pytest.mark.parametrize(
    ("tp", "body"),
    [
        (Ask, {}),
        (Owner, {"pet": {"kind": "dog", "tricks": ["sit"]}}),
        (Tree, {"children": [{"children": []}]}),
        (Wire, {"from": 3}),
        (Circle | Square, {"request": {"type": "Square", "side": 1}}),
        (list[Tree], {"request": [{"value": 1}]}),
        (Pair, {"request": [1, "b"]}),
        (Words, {"request": ["a"]}),
        (Counts, {"a": 1}),
        (Options, {"one": 1}),
        (Strict, {"text": "a", "inner": {}}),
        (Place, {"name": "here"}),
    ],
    ids=name_of,
)
def test_a_request_that_fits_its_schema_is_understood(tp: Any, body: dict[str, Any]):
    schema, is_wrapped = request_for_agents(tp)
    assert fits(schema, body)
    request_decoder(tp)(msgspec.json.encode(body["request"] if is_wrapped else body))


# --- what is left out, and what is kept ---


def test_generated_titles_are_dropped_and_those_of_the_author_kept():
    schema = request_for_agents(Owner).schema
    titles = [node["title"] for node in nodes(schema) if "title" in node]
    assert sorted(titles) == ["Age in years", "An owner of pets"]
    assert "title" in schema["properties"]
    for tp in types_of(OBJECTS, OTHERS):
        if tp not in (Owner, Tagged, Both):  # of items, which have no other names, titles are kept
            assert not [node for node in nodes(request_for_agents(tp).schema) if "title" in node]


def test_references_are_replaced_and_the_texts_beside_them_win():
    other = request_for_agents(Owner).schema["properties"]["other"]
    assert other["description"] == "Another one."
    assert other["anyOf"][0]["properties"]["lives"] == {"default": 9, "type": "integer"}


def test_what_contains_itself_keeps_its_definition():
    schema = request_for_agents(Tree).schema
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert list(schema["$defs"]) == ["Tree"]


def test_definitions_that_would_make_a_schema_huge_are_kept():
    model: Any = None
    for level in range(60):
        members: Any = {"left": (model, ...), "right": (model, ...)} if level else {"x": (int, 1)}
        model = create_model(f"Level{level}", **members)
    schema = request_for_agents(model).schema
    check_schema(schema)
    assert len(schema["$defs"]) == 59
    assert len(msgspec.json.encode(schema)) < 20_000


def test_the_member_that_names_a_schema_is_not_asked_for_and_may_be_sent():
    schema = request_for_agents(Strict).schema
    assert "$schema" not in str(schema)
    assert schema["additionalProperties"] is False
    request_decoder(Strict)(b'{"$schema":"urn:example:schema:strict.1"}')


def test_a_property_that_clients_refuse_is_not_described_in_a_result():
    result = result_for_agents(OddName)
    assert result is not None
    assert result.schema["properties"] == {}
    assert "additionalProperties" not in result.schema


def test_a_number_may_be_null_in_a_result_unless_it_is_bounded():
    class Share(BaseModel):
        any_number: float
        no_number: float | None = Field(None, description="Perhaps.")
        share: Annotated[float, Field(ge=0, le=1)]

    result = result_for_agents(Share)
    assert result is not None
    assert result.schema["properties"]["any_number"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert result.schema["properties"]["no_number"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert result.schema["properties"]["share"]["type"] == "number"
    assert request_for_agents(Share).schema["properties"]["any_number"]["type"] == "number"


def test_files_are_objects_with_their_content():
    class Upload(BaseModel):
        table: UploadedFile
        more: list[UploadedFile] = []

    check_schema(request_for_agents(Upload).schema)
    assert fits(request_for_agents(Upload).schema, {"table": {"content": "aGk=", "filename": "a"}})
    for tp in (BinaryRequest, bytes):
        schema, is_wrapped = request_for_agents(tp)
        check_schema(schema)
        assert not is_wrapped
        assert list(schema["properties"]) == ["content", "content_type", "filename"]
        assert "HTTP" not in str(schema)


def test_a_schema_that_names_its_dialect_is_left_as_it_is():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"a": {"$anchor": "a", "title": "A"}},
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "allOf": [{"required": ["a"]}],
    }

    class Own(BaseModel):
        a: int = 1
        model_config = ConfigDict(json_schema_extra=lambda made: (made.clear(), made.update(schema))[1])

    assert request_for_agents(Own) == (schema, False)
    assert result_for_agents(Own) == (schema, False)


def test_conditions_at_the_root_of_an_object_are_kept_inside_of_another():
    class Either(BaseModel):
        model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["a"]}, {"required": ["b"]}]})
        a: int = 1
        b: int = 1

    schema, is_wrapped = request_for_agents(Either)
    check_schema(schema)
    assert is_wrapped
    assert schema["properties"]["request"]["anyOf"] == [{"required": ["a"]}, {"required": ["b"]}]


def test_data_in_a_schema_is_left_alone():
    class Default(BaseModel):
        data: dict[str, Any] = {"$ref": "#/$defs/None", "title": "Data", "oneOf": 1, "properties": {"$schema": 1}}

    schema = request_for_agents(Default).schema
    assert schema["properties"]["data"]["default"] == Default().data


def test_references_by_other_ways_than_definitions_are_replaced_too():
    class Linked(BaseModel):
        model_config = ConfigDict(
            json_schema_extra={
                "properties": {
                    "a": {"type": "array", "items": [{"type": "integer"}]},
                    "b": {"$ref": "#/properties/a/items/0", "minimum": 3},
                    "c": {"$ref": "#/definitions/x~1y%20z"},
                    "d": {"$ref": "#"},
                },
                "definitions": {"x/y z": {"type": "string"}},
            }
        )

    schema = request_for_agents(Linked).schema
    assert schema["properties"]["b"] == {"allOf": [{"type": "integer"}], "minimum": 3}
    assert schema["properties"]["c"] == {"type": "string"}
    assert schema["properties"]["d"] == {"$ref": "#/$defs/root"}
    assert schema["$defs"]["root"]["properties"]["c"] == {"type": "string"}


def test_classes_whose_results_are_passed_on_are_not_described():
    class Ready(BaseModel):
        content: str

    assert result_for_agents(Ready) is not None
    assert result_for_agents(Ready, [Ready]) is None
    assert result_for_agents(Ready | Cat, [Ready]) is None
