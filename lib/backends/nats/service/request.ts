import { describe, DiscoveryError, messageOf } from '../../../model/index.js';
import { NatsServiceError } from '../connection/errors.js';
import {
  firstOf,
  headersOf,
  headerText,
  toHeaders,
  type NatsHeaderMap,
  type NatsHeadersInput,
} from '../connection/headers.js';
import type { NatsRawMessage } from '../connection/port.js';
import { ERROR_CODE_HEADER, ERROR_HEADER } from './protocol.js';

/** What can be sent: bytes and texts as they are, anything else as JSON; undefined is an empty body. */
export type NatsData = Uint8Array | string | number | boolean | object | null | undefined;

/** What a handler answers. */
export interface ServiceResponse {
  readonly data: Uint8Array;
  readonly headers: NatsHeaderMap;
  /** The number and description of an error answer. */
  readonly error?: { readonly code: number; readonly description: string };
}

/** What goes with an answer. */
export interface RespondOptions {
  readonly headers?: NatsHeadersInput;
}

/** What goes with an error answer. */
export interface RespondErrorOptions extends RespondOptions {
  /** Details in the body. @default none */
  readonly data?: NatsData;
}

/** Why a handler's way of answering counts as an error. */
export type AnswerProblem = 'answered-twice' | 'never-answered' | 'too-slow' | 'too-many-pending';

const PROBLEMS: Readonly<Record<AnswerProblem, string>> = {
  'answered-twice': 'was answered already',
  'never-answered': 'ended without an answer',
  'too-slow': 'was not answered in time',
  'too-many-pending': 'was refused, since too many are being dealt with',
};

/** A request was not answered once, and in time. `problem` tells which it was. */
export class NatsAnswerError extends DiscoveryError {
  override name = 'NatsAnswerError';
  constructor(
    readonly problem: AnswerProblem,
    readonly subject: string,
  ) {
    super(problem === 'too-slow' ? 'TIMEOUT' : 'BACKEND_REFUSED', `the request on ${subject} ${PROBLEMS[problem]}`);
  }
}

const EMPTY = new Uint8Array();
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** A request to an endpoint. */
export class ServiceRequest {
  private response: ServiceResponse | undefined;
  private allHeaders: NatsHeaderMap | undefined;

  /** @param send takes the answer, at most once; absent for a request that nobody waits for */
  constructor(
    private readonly message: NatsRawMessage,
    private readonly send: ((response: ServiceResponse) => void) | undefined,
  ) {}

  get subject(): string {
    return this.message.subject;
  }

  /** The payload as it came. */
  get data(): Uint8Array {
    return this.message.data;
  }

  get headers(): NatsHeaderMap {
    this.allHeaders ??= headersOf(this.message.headers);
    return this.allHeaders;
  }

  /** Whether it has any headers; cheaper than to look. */
  get hasHeaders(): boolean {
    return this.message.headers !== undefined || (this.allHeaders?.size ?? 0) > 0;
  }

  /** False when it is an event: nobody waits, and answers go nowhere. */
  get expectsAnswer(): boolean {
    return this.message.reply !== undefined && this.message.reply !== '';
  }

  /** The answer, once there is one. */
  get answered(): ServiceResponse | undefined {
    return this.response;
  }

  /** The first value of a header, by its exact name. */
  header(name: string): string | undefined {
    return firstOf(this.headers, name);
  }

  /** The payload as text. @throws NatsServiceError 400, which the caller gets when the handler doesn't catch it */
  text(): string {
    try {
      return decoder.decode(this.data);
    } catch (cause) {
      throw new NatsServiceError(400, 'the payload is no UTF-8 text', { cause });
    }
  }

  /**
   * The payload as JSON, undefined when it is empty.
   * @throws NatsServiceError 400, which the caller gets when the handler doesn't catch it
   */
  // The caller's word for what the payload is, as with every JSON.parse.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  json<T = unknown>(): T {
    const text = this.text();
    if (text === '') return undefined as T;
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new NatsServiceError(400, 'the payload is no JSON', { cause });
    }
  }

  /** Answers. @throws NatsAnswerError when it was answered before */
  respond(data?: NatsData, options: RespondOptions = {}): void {
    this.answer(createResponse(data, options));
  }

  /**
   * Answers with an error.
   * @param code a number as in HTTP: 400, 404, 422, 500 …
   * @param description one line
   * @throws NatsAnswerError when it was answered before
   */
  respondError(code: number, description: string, options: RespondErrorOptions = {}): void {
    this.answer(createErrorResponse(code, description, options));
  }

  /** This request with another payload or other headers, for middlewares. Its answer is kept, not sent. */
  with(changes: { readonly data?: Uint8Array; readonly headers?: NatsHeadersInput }): ServiceRequest {
    const copy = new ServiceRequest({ ...this.plain(), ...(changes.data && { data: changes.data }) }, undefined);
    copy.allHeaders = changes.headers === undefined ? this.headers : toHeaders(changes.headers);
    return copy;
  }

  /** Gives the answer, which was made by a middleware or for a failure. */
  answer(response: ServiceResponse): void {
    if (this.response !== undefined) throw new NatsAnswerError('answered-twice', this.subject);
    // Sent first: what can't be sent has not been answered.
    if (this.expectsAnswer) this.send?.(response);
    this.response = response;
  }

  private plain(): NatsRawMessage {
    const { subject, reply, data, headers } = this.message;
    return { subject, reply, data, headers };
  }
}

/** Makes an answer. @throws DiscoveryError `INVALID_OPTION` for what can't be sent */
export function createResponse(data?: NatsData, options: RespondOptions = {}): ServiceResponse {
  return { data: encodePayload(data), headers: toHeaders(options.headers) };
}

/** Makes an error answer. @throws DiscoveryError `INVALID_OPTION` for what can't be sent */
export function createErrorResponse(
  code: number,
  description: string,
  options: RespondErrorOptions = {},
): ServiceResponse {
  if (!Number.isInteger(code) || code < 1 || code > 999_999) {
    throw new DiscoveryError('INVALID_OPTION', `code must be a whole number above 0, got ${describe(code)}`, {
      field: 'code',
    });
  }
  const headers = new Map(toHeaders(options.headers));
  const text = headerText(description);
  headers.set(ERROR_CODE_HEADER, [String(code)]);
  headers.set(ERROR_HEADER, [text]);
  return { data: encodePayload(options.data), headers, error: { code, description: text } };
}

/** A payload as bytes. @throws DiscoveryError `INVALID_OPTION` for what can't be JSON */
export function encodePayload(data: NatsData): Uint8Array {
  if (data === undefined) return EMPTY;
  if (data instanceof Uint8Array) return data;
  if (typeof data === 'string') return encoder.encode(data);
  try {
    return encoder.encode(JSON.stringify(data));
  } catch (cause) {
    throw new DiscoveryError('INVALID_OPTION', `the payload can't be sent as JSON: ${messageOf(cause)}`, { cause });
  }
}
