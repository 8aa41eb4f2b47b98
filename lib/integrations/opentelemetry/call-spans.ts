import { channel } from 'node:diagnostics_channel';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import { messageOf } from '../../model/index.js';
import type {
  AttemptObservation,
  CallObservation,
  CallObserver,
  CallResult,
  ObservedAttempt,
  ObservedCall,
} from '../../observability/index.js';
import { attemptAttributes, sendKnown } from './attempt-context.js';
import type { AttemptSpans } from './opentelemetry.options.js';

/** OpenTelemetry's API, as it was loaded. */
export type OpenTelemetryApi = typeof import('@opentelemetry/api');

/** Listened to by whoever instruments undici. */
const UNDICI = channel('undici:request:create');

/** What a call ends by that is nobody's failure. */
const GIVEN_UP: ReadonlySet<string> = new Set(['ERR_CANCELED', 'AbortError', 'OVERTAKEN']);

/** How much of an error's text a span has. */
const MAX_MESSAGE = 300;

/**
 * A span for each call to a service, and below it one for each try. The trace goes out with every try: as the headers of
 * the try's span, or by the instrumentation that makes that span.
 */
export class CallSpans implements CallObserver {
  /** Not looked up in a namespace for each call. */
  readonly tracer: Tracer;

  constructor(
    readonly api: OpenTelemetryApi,
    private readonly attemptSpans: AttemptSpans,
  ) {
    this.tracer = api.trace.getTracer('nestjs-service-discovery');
  }

  /** Whether the app has nobody who takes spans. */
  get isOff(): boolean {
    const provider = this.api.trace.getTracerProvider();
    return provider instanceof this.api.ProxyTracerProvider && provider.getDelegateTracer('') === undefined;
  }

  /** Whether somebody who instruments undici puts the trace on its requests. */
  get isUndiciInstrumented(): boolean {
    return UNDICI.hasSubscribers;
  }

  /** Whether tries have spans of ours. */
  get hasAttemptSpans(): boolean {
    return this.attemptSpans === 'always' || (this.attemptSpans === 'auto' && !UNDICI.hasSubscribers);
  }

  begin(call: ObservedCall): CallObservation {
    const parent = this.api.context.active();
    const span = this.tracer.startSpan(nameOf(call), { attributes: callAttributes(call) }, parent);
    return new SpannedCall(this, call, span, this.api.trace.setSpan(parent, span));
  }
}

class SpannedCall implements CallObservation {
  private attempts = 0;
  private hedges = 0;
  private refused = false;

  constructor(
    private readonly parent: CallSpans,
    private readonly call: ObservedCall,
    private readonly span: Span,
    private readonly context: Context,
  ) {}

  attempt(attempt: ObservedAttempt): AttemptObservation {
    this.attempts += 1;
    if (attempt.reason === 'hedge') this.hedges += 1;
    const { parent, call, context, span } = this;
    // Of a trace that nobody records only its identity goes out.
    if (parent.hasAttemptSpans && span.isRecording()) return spannedAttempt(parent, call, attempt, context);
    const { api } = parent;
    const headers: Record<string, string> = {};
    const run = <T>(send: () => T): T => api.context.with(context, send);
    if (!parent.isUndiciInstrumented) {
      api.propagation.inject(context, headers);
      return { headers, run };
    }
    const attributes = attemptAttributes(call.service, attempt);
    return { run: (send) => sendKnown(attributes, () => run(send)) };
  }

  retryRefused(): void {
    this.refused = true;
  }

  end(result: CallResult): void {
    const { span } = this;
    if (span.isRecording()) {
      span.setAttribute('service_discovery.attempts', this.attempts);
      if (this.hedges > 0) span.setAttribute('service_discovery.hedges', this.hedges);
      if (this.refused) span.setAttribute('service_discovery.retry_budget.exhausted', true);
      tell(this.parent.api, span, result);
    }
    span.end();
  }
}

function spannedAttempt(
  { api, tracer }: CallSpans,
  call: ObservedCall,
  attempt: ObservedAttempt,
  parent: Context,
): AttemptObservation {
  const { instance } = attempt;
  const attributes: Attributes = {
    ...attemptAttributes(call.service, attempt),
    'server.address': instance.host,
    'server.port': instance.port,
  };
  if (call.protocol === 'http') attributes['http.request.method'] = call.method;
  const span = tracer.startSpan(call.method ?? call.protocol, { kind: api.SpanKind.CLIENT, attributes }, parent);
  const context = api.trace.setSpan(parent, span);
  const headers: Record<string, string> = {};
  api.propagation.inject(context, headers);
  return {
    headers,
    run: (send) => api.context.with(context, send),
    end: (result) => {
      tell(api, span, result);
      span.end();
    },
  };
}

/** Few: a span's name is not for values. */
function nameOf({ protocol, method, service, template = '' }: ObservedCall): string {
  return `${method ?? protocol} ${service}${template}`;
}

function callAttributes({ protocol, service, method, template }: ObservedCall): Attributes {
  const attributes: Attributes = { 'service.peer.name': service, 'service_discovery.protocol': protocol };
  if (protocol === 'http') attributes['http.request.method'] = method;
  if (template !== undefined) attributes['url.template'] = template;
  return attributes;
}

/** How it ended. */
function tell(api: OpenTelemetryApi, span: Span, { outcome, status, errorType, error }: CallResult): void {
  if (status !== undefined) span.setAttribute('http.response.status_code', status);
  if (outcome === 'success') return;
  span.setAttribute('error.type', errorType ?? '_OTHER');
  if (errorType !== undefined && GIVEN_UP.has(errorType)) return;
  const message = error === undefined ? undefined : messageOf(error).slice(0, MAX_MESSAGE);
  span.setStatus({ code: api.SpanStatusCode.ERROR, ...(message === undefined ? {} : { message }) });
}
