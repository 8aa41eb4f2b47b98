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

/** What may go by undici, as far as is known: what `walkNodes` does only its caller knows. */
const BY_UNDICI: ReadonlySet<string> = new Set(['http', 'custom']);

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

  /** Whether tries have spans of ours. Others than those of HTTP have nobody else's. */
  hasAttemptSpans(protocol: string): boolean {
    if (this.attemptSpans !== 'auto') return this.attemptSpans === 'always';
    return !UNDICI.hasSubscribers || !BY_UNDICI.has(protocol);
  }

  begin(call: ObservedCall): CallObservation | undefined {
    // Who picks makes the call himself: a span of ours would stand beside his, and nothing would be below it.
    if (call.protocol === 'pick') return undefined;
    const { api } = this;
    const parent = api.context.active();
    // Who has no spans of tries below it is what others see of the call.
    const kind = this.hasAttemptSpans(call.protocol) ? api.SpanKind.CLIENT : api.SpanKind.INTERNAL;
    const span = this.tracer.startSpan(nameOf(call), { kind, attributes: callAttributes(call) }, parent);
    return new SpannedCall(this, call, span, api.trace.setSpan(parent, span));
  }
}

/** A try that has no span yet. */
interface FirstTry {
  readonly attempt: ObservedAttempt;
  readonly startTime: number;
  end?: { readonly time: number; readonly result: CallResult };
}

/**
 * The span of a call. As long as there is one try, that is the call, and needs no span of its own; when there is another,
 * each has one below the call's, the first one's made then, with the times that it had.
 */
class SpannedCall implements CallObservation {
  private first: FirstTry | undefined;
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
    if (!parent.hasAttemptSpans(call.protocol) || !span.isRecording()) return unspanned(parent, call, attempt, context);
    if (this.attempts === 1) return this.firstTry(attempt);
    this.tellFirst();
    const { api } = parent;
    const own = startAttempt(parent, call, attempt, context);
    const end = (result: CallResult): void => {
      tell(api, own, call, result);
      own.end();
    };
    return { ...sentIn(api, api.trace.setSpan(context, own)), end };
  }

  retryRefused(): void {
    this.refused = true;
  }

  end(result: CallResult): void {
    const { span, first } = this;
    if (span.isRecording()) {
      if (this.attempts === 1 && first !== undefined) span.setAttributes(instanceAttributes(first.attempt));
      if (this.attempts !== 1) span.setAttribute('service_discovery.attempts', this.attempts);
      if (this.hedges > 0) span.setAttribute('service_discovery.hedges', this.hedges);
      if (this.refused) span.setAttribute('service_discovery.retry_budget.exhausted', true);
      tell(this.parent.api, span, this.call, result);
    }
    span.end();
  }

  private firstTry(attempt: ObservedAttempt): AttemptObservation {
    const first: FirstTry = (this.first = { attempt, startTime: Date.now() });
    const end = (result: CallResult): void => {
      if (this.attempts === 1 && result.outcome === 'success') return;
      first.end = { time: Date.now(), result };
      // It was overtaken, or failed beside another one.
      if (this.attempts > 1) this.tellFirst();
    };
    return { ...sentIn(this.parent.api, this.context), end };
  }

  /** Makes the span of the first try, once it has ended and there was another one. */
  private tellFirst(): void {
    const { first, parent } = this;
    if (first?.end === undefined) return;
    this.first = undefined;
    const span = startAttempt(parent, this.call, first.attempt, this.context, first.startTime);
    tell(parent.api, span, this.call, first.end.result);
    span.end(first.end.time);
  }
}

/** The context of a span, and what of it goes out. */
function sentIn(api: OpenTelemetryApi, context: Context): Pick<AttemptObservation, 'headers' | 'run'> {
  const headers: Record<string, string> = {};
  api.propagation.inject(context, headers);
  return { headers, run: (send) => api.context.with(context, send) };
}

/** A try whose span others make, if anybody does. */
function unspanned(
  parent: CallSpans,
  call: ObservedCall,
  attempt: ObservedAttempt,
  context: Context,
): AttemptObservation {
  const { api } = parent;
  if (!parent.isUndiciInstrumented || !BY_UNDICI.has(call.protocol)) return sentIn(api, context);
  const attributes = attemptAttributes(call.service, attempt);
  return { run: (send) => sendKnown(attributes, () => api.context.with(context, send)) };
}

function startAttempt(
  { api, tracer }: CallSpans,
  call: ObservedCall,
  attempt: ObservedAttempt,
  parent: Context,
  startTime?: number,
): Span {
  const attributes: Attributes = { ...attemptAttributes(call.service, attempt), ...instanceAttributes(attempt) };
  if (call.protocol === 'http') attributes['http.request.method'] = call.method;
  const kind = api.SpanKind.CLIENT;
  const when = startTime === undefined ? {} : { startTime };
  return tracer.startSpan(call.method ?? call.protocol, { kind, attributes, ...when }, parent);
}

function instanceAttributes({ instance }: ObservedAttempt): Attributes {
  const { host, port, id } = instance;
  return { 'server.address': host, 'server.port': port, 'service_discovery.instance.id': id };
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
function tell(
  api: OpenTelemetryApi,
  span: Span,
  { protocol }: ObservedCall,
  { outcome, status, errorType, error }: CallResult,
): void {
  // What other protocols say in HTTP's words is for those who count.
  if (status !== undefined && BY_UNDICI.has(protocol)) span.setAttribute('http.response.status_code', status);
  if (outcome === 'success') return;
  span.setAttribute('error.type', errorType ?? '_OTHER');
  if (errorType !== undefined && GIVEN_UP.has(errorType)) return;
  const message = error === undefined ? undefined : messageOf(error).slice(0, MAX_MESSAGE);
  span.setStatus({ code: api.SpanStatusCode.ERROR, ...(message === undefined ? {} : { message }) });
}
