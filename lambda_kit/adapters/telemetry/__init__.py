"""OpenTelemetry: traces, metrics and logs of a service, sent by OTLP (the extra ``otel``)."""
