import type * as OpenTelemetry from '@opentelemetry/api';

/** One call as a span, where the application has OpenTelemetry. */
export interface CallSpan {
  /** Adds the headers with which the service joins the trace. */
  inject(headers: Headers): void;
  answered(status: number): void;
  end(error?: unknown): void;
}

const SILENT: CallSpan = { inject() {}, answered() {}, end() {} };

let api: typeof OpenTelemetry | undefined;
// An optional peer dependency: few applications have it, so bundlers must not require it.
export const tracingIsLoaded: Promise<void> = import(/* webpackIgnore: true */ '@opentelemetry/api').then(
  (found) => {
    api = found;
  },
  () => undefined,
);

/** Begins a span below the one that is active. */
export function beginSpan(
  call: { readonly id: string; readonly method: string; readonly path: string },
  url: string,
): CallSpan {
  if (!api) return SILENT;
  const { trace, context, propagation, SpanKind, SpanStatusCode } = api;
  const span = trace.getTracer('@kohort/client').startSpan(`kohort ${call.id}`, {
    kind: SpanKind.CLIENT,
    attributes: {
      'http.request.method': call.method,
      'url.template': call.path,
      'server.address': new URL(url).hostname,
    },
  });
  const own = trace.setSpan(context.active(), span);
  return {
    inject(headers) {
      propagation.inject(own, headers, { set: (carrier, name, value) => carrier.set(name, value) });
    },
    answered(status) {
      span.setAttribute('http.response.status_code', status);
    },
    end(error) {
      if (error !== undefined) {
        span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown');
        span.setStatus({ code: SpanStatusCode.ERROR, ...(error instanceof Error && { message: error.message }) });
      }
      span.end();
    },
  };
}
