"""What agents and the platform are told about a tool."""

import dataclasses
import datetime
import enum
import inspect
import json
import keyword
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import ivcap_service
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, create_model

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.service_info import Service
from lambda_kit.core.tools.description import dump_description, service_definition, tool_description
from lambda_kit.core.tools.path_title import path_title
from lambda_kit.core.tools.schema import with_schema
from tests.golden import tools

GOLDEN = Path(__file__).parents[1] / "golden"
ENVIRONMENT = (
    "DOCKERFILE",
    "DOCKER_IMG",
    "ENTRYPOINT",
    "IVCAP_POLICY_URN",
    "IVCAP_RESOURCES_FILE",
    "IVCAP_SERVICE_ID",
    "IVCAP_SERVICE_NAME",
)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    """A nested model."""

    value: int = 3


class Node(BaseModel):
    children: "list[Node]" = []


class Nothing(BaseModel):
    pass


class Names(RootModel[list[str]]):
    pass


class Everything(BaseModel):
    """All kinds of fields."""

    text: str = Field(description="Some text.")
    union_after_required: Union[int, str]  # noqa: UP007 - the old and the new form are rendered differently
    number: float = 1.5
    union_after_optional: int | str = 3
    maybe: Optional[str] = None  # noqa: UP045 - as above
    maybe_new: str | None = Field(None, description="Or not.")
    maybe_list: Optional[list[int]] = None  # noqa: UP045 - as above
    items: list[str] = []
    anything: list[Any] = []
    models: list[Inner] = []
    table: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")
    choice: Literal["a", "b"] = "a"
    constant: Literal["only"] = "only"
    colour: Colour = Colour.RED
    inner: Inner
    inner_default: Inner = Inner()
    when: datetime.datetime
    aliased: int = Field(2, alias="al-ias", ge=1, le=5)
    aliased_union: int | None = Field(None, alias="aliasedUnion")
    free: Any = None
    nothing: None = None
    unique: set[int] = set()
    limited: Annotated[int, Field(gt=0, description="More than none.")] = 1


@with_schema("urn:test:everything.1")
class EverythingWithSchema(Everything):
    pass


class UnionFirst(BaseModel):
    first: int | str
    last: int = 0


class UnionFirstRequired(BaseModel):
    first: int | str
    last: int


class Result(BaseModel):
    answer: str


def original(model: Any, result: Any, name: str = "do_it", doc: str | None = "Do it.") -> dict[str, Any]:
    """The description that ivcap-service makes."""

    def fn(req: Any) -> Any:
        return req

    fn.__name__, fn.__doc__ = name, doc
    fn.__annotations__ = {"req": model, "return": result}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        definition = ivcap_service.create_tool_definition(fn)
    return definition.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("name", ["greet", "list_things"])
def test_the_tool_description_is_printed_as_the_original_prints_it(name: str) -> None:
    printed = dump_description(
        tool_description(name, getattr(tools, name).__doc__, tools.GreetRequest, tools.GreetResult, service_id="/greet")
    )
    assert printed == (GOLDEN / f"tool-description.{name}.json").read_text().rstrip("\n")


@pytest.mark.parametrize(("name", "path"), [("greet", "/greet"), ("list_things", "/many/things")])
def test_the_service_definition_is_printed_as_the_original_prints_it(
    name: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    definition = service_definition(
        tools.service,
        name=name,
        doc=getattr(tools, name).__doc__,
        path=path,
        request_type=tools.GreetRequest,
        result_type=tools.GreetResult,
        service_id="/greet",
    )
    golden = (GOLDEN / f"service-description.{name}.json").read_text().rstrip("\n")
    assert dump_description(definition) == golden
    out, err = capsys.readouterr()
    assert out == ""
    assert "Cannot find Dockerfile" in err
    assert "Using default resources" in err


@pytest.mark.parametrize(
    "model", [Everything, EverythingWithSchema, UnionFirst, UnionFirstRequired, tools.GreetRequest]
)
@pytest.mark.parametrize(
    "result",
    [
        Result,
        None,
        str,
        dict[str, int],
        list[Result],
        Result | None,
        Optional[Result],  # noqa: UP045 - as above
        Annotated[Result, "said"],
        ivcap_service.BinaryResult,
    ],
    ids=str,
)
def test_a_pydantic_request_is_described_as_ivcap_service_does(model: type[BaseModel], result: Any) -> None:
    described = tool_description("do_it", "Do it.", model, result)
    assert described == original(model, result)
    assert list(described) == list(original(model, result))


FIELD_TYPES = [
    *(str, int, float, bool, bytes, Any, None, dict, list, datetime.date, Colour, Inner),
    *(list[int], list[list[int]], list[Inner], dict[str, Inner], tuple[int, ...], set[str]),
    *(int | None, int | str, Optional[int], Union[int, str], Optional[Inner], Inner | None),  # noqa: UP007, UP045
    *(Literal["a"], Literal["a", 1], Literal["a"] | None, Annotated[int, Field(ge=1)]),
    *(Optional[Annotated[int, Field(ge=1)]], Optional[Literal["x"]]),  # noqa: UP045
    Union[int, str, None],  # noqa: UP007
]
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True).filter(
    # Names that are methods of every model shadow what ivcap-service calls
    lambda name: not keyword.iskeyword(name) and not hasattr(BaseModel, name) and not name.startswith("model_")
)
FIELDS = st.dictionaries(
    NAMES,
    st.tuples(
        st.sampled_from(FIELD_TYPES),
        st.booleans(),
        st.none() | st.text(max_size=20),
        st.none() | st.text("abAB-", min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=FIELDS, decorated=st.booleans(), doc=st.none() | st.text("abc \n.", max_size=40))
def test_any_pydantic_request_is_described_as_ivcap_service_does(
    fields: dict[str, Any], decorated: bool, doc: str | None
) -> None:
    definitions: dict[str, Any] = {
        name: (tp, Field(*([] if required else [None]), description=description, alias=alias))
        for name, (tp, required, description, alias) in fields.items()
    }
    made = create_model("Made", **definitions)
    model: Any = with_schema("urn:test:made.1")(made) if decorated else made
    cleaned = original(model, Result, doc=None if doc is None else inspect.cleandoc(doc))
    assert tool_description("do_it", doc, model, Result) == cleaned


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        (Node, "f(children: Optional[array[Any]]) -> Result"),
        (Nothing, "f() -> Result"),
        (Names, "f(request: Names) -> Result"),
    ],
)
def test_models_that_ivcap_service_fails_on_are_described(model: type[BaseModel], signature: str) -> None:
    described = tool_description("f", None, model, Result)
    assert described["fn_signature"] == signature
    assert described["fn_schema"] == model.model_json_schema()
    assert described["description"].endswith("\nReturns: Result")


def test_a_struct_and_a_dataclass_are_described_in_the_same_form() -> None:
    class Point(msgspec.Struct):
        x: int

    @with_schema("urn:test:draw.1")
    class Draw(msgspec.Struct, rename="camel"):
        pen_colour: Annotated[str, msgspec.Meta(description="Its colour.")]
        where: Point
        route: list[Point] = []
        width: int = 1
        label: str | None = None
        size: int | float | str = 3
        style: Literal["solid", "dashed"] = "solid"

    described = tool_description("draw", "Draw a line.", Draw, Result)
    assert described["fn_signature"] == (
        "draw(penColour: str, where: Point, route: Optional[array[Point]], width: Optional[int], "
        "label: Optional[str], size: Optional[int | float | str], "
        "style: Optional[Literal['dashed', 'solid']]) -> Result"
    )
    assert described["description"] == (
        "Draw a line.\n"
        "Arguments: penColour: str - Its colour. where: Point route: Optional[array[Point]] (Defaults to []) "
        "width: Optional[int] (Defaults to 1) label: Optional[str] (Defaults to None) "
        "size: Optional[int | float | str] (Defaults to 3) "
        "style: Optional[Literal['dashed', 'solid']] (Defaults to solid)\n"
        "Returns: Result"
    )
    assert list(described["fn_schema"]["properties"])[-1] == "$schema"

    @dataclasses.dataclass
    class Plain:
        a: int
        b: str | None = None

    assert tool_description("f", "", Plain, str)["fn_signature"] == "f(a: int, b: Optional[str]) -> str"


def test_the_environment_names_the_tool_and_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVCAP_SERVICE_NAME", "My-Own Tool")
    monkeypatch.setenv("IVCAP_SERVICE_ID", "urn:ivcap:service:1")
    monkeypatch.setenv("IVCAP_POLICY_URN", "urn:ivcap:policy:1")
    monkeypatch.setenv("DOCKER_IMG", "image:1")
    monkeypatch.setenv("ENTRYPOINT", '["python", "x.py"]')
    described = tool_description("f", "", Result, Result, service_id="/f")
    assert described["name"] == "my_own_tool"
    assert described["id"] == "urn:sd-core:ai-tool.my_own_tool"
    assert described["fn_signature"].startswith("my_own_tool(")
    assert described["service-id"] == "urn:ivcap:service:1"
    defined = define(service_name="from-the-command-line")
    assert defined["name"] == "My-Own Tool"
    assert defined["$id"] == "urn:ivcap:service:1"
    assert defined["policy"] == "urn:ivcap:policy:1"
    assert defined["controller"]["image"] == "image:1"
    assert defined["controller"]["command"] == ["python", "x.py"]


def test_an_absolute_service_id_is_kept() -> None:
    assert tool_description("f", "", Result, Result, "https://x/f")["service-id"] == "https://x/f"
    assert define(service_id="urn:mine")["$id"] == "urn:mine"


def define(service: ivcap_service.Service = tools.service, **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"doc": "Do it.", "request_type": Result, "result_type": Result}
    return service_definition(service, **{"name": "do_it", "path": "/do-it", **arguments, **options})


def test_the_service_is_named_after_itself_and_the_tool_unless_told_otherwise() -> None:
    assert define()["name"] == "My IVCAP Service-do-it"
    assert define(service_name="other")["name"] == "other"


def test_only_models_have_a_result_schema() -> None:
    for result in (str, dict[str, int], None, ivcap_service.BinaryResult, ivcap_service.IvcapResult):
        assert "result-schema" not in define(result_type=result)

    class Answer(msgspec.Struct):
        a: int

    assert define(result_type=Answer)["result-schema"]["required"] == ["a"]


def test_a_tool_without_docstring_takes_the_services_description() -> None:
    contact = {"name": "A", "email": "a@example.com"}
    service = Service(name="S", contact=contact, description="All about S.")
    assert define(service, doc=None)["description"] == "All about S."
    assert define(service, doc=None)["contact"] == contact
    assert define(doc="  ")["description"] == "no description available"


def test_the_command_and_resources_come_from_the_files_beside_the_service(empty_folder: Path) -> None:
    (empty_folder / "Dockerfile").write_text('FROM python\nENTRYPOINT ["python", "service.py"]\n')
    (empty_folder / "resources.json").write_text('{"limits": {"cpu": "2"}}')
    controller = define()["controller"]
    assert controller["command"] == ["python", "service.py"]
    assert controller["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}


@pytest.mark.parametrize("entrypoint", ["python service.py", "[1, 2]", "{}", '["unclosed"', "3"])
def test_an_entrypoint_that_is_no_list_is_refused_with_the_remedy(entrypoint: str, empty_folder: Path) -> None:
    (empty_folder / "Dockerfile").write_text(f"ENTRYPOINT {entrypoint}\n")
    with pytest.raises(ConfigurationError, match=r"ENTRYPOINT in 'Dockerfile'.*JSON list of strings"):
        define()


@pytest.mark.parametrize("content", ["{", "[]", '{"limits": {"cpu": 3}}', '{"limits": 3}', "\xff"])
def test_a_broken_resources_file_is_refused_with_the_remedy(content: str, empty_folder: Path) -> None:
    (empty_folder / "resources.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"resources file 'resources\.json' is not usable.*'limits'"):
        define()


def test_a_resources_file_that_is_named_and_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVCAP_RESOURCES_FILE", "gone.json")
    with pytest.raises(ConfigurationError, match=r"'gone\.json'.*\$IVCAP_RESOURCES_FILE"):
        define()


def test_the_printed_form_keeps_what_is_not_ascii() -> None:
    assert dump_description({"a": "Grüße"}) == '{\n  "a": "Grüße"\n}'
    assert json.loads(dump_description(define()))["name"] == "My IVCAP Service-do-it"


@pytest.mark.parametrize(
    ("path", "label", "tag"),
    [
        ("/", "Execute the tool", "Tool"),
        ("", "Execute the tool", "Tool"),
        ("/greet", "greet", "Greet"),
        ("/greet/", "greet", "Greet"),
        ("/Greet", "greet", "Greet"),
        ("/many/things", "thing", "Thing"),
        ("/things/{id:str}", "thing", "Thing"),
        ("/async-greet", "async greet", "Async greet"),
        ("/list_things", "list thing", "List thing"),
        ("/queries", "query", "Query"),
        ("/ties", "tie", "Tie"),
        ("/types", "type", "Type"),
        ("/images", "image", "Image"),
        ("/databases", "database", "Database"),
        ("/boxes", "box", "Box"),
        ("/classes", "class", "Class"),
        ("/batches", "batch", "Batch"),
        ("/process", "process", "Process"),
        ("/status", "status", "Status"),
        ("/statuses", "status", "Status"),
        ("/analysis", "analysis", "Analysis"),
        ("/Movies", "movie", "Movie"),
        ("/series", "series", "Series"),
        ("/x", "x", "X"),
        ("/gps", "gps", "Gps"),
        ("/{id}", "Execute the tool", "Tool"),
    ],
)
def test_label_and_tag_are_read_from_the_path(path: str, label: str, tag: str) -> None:
    assert path_title(path) == (label, tag)
