/**
 * What `response.request` and `error.request` are: the part of Node's `ClientRequest` that axios users read, above all
 * `request.res.responseUrl`, the URL that answered in the end.
 */
export class SentRequest {
  constructor(
    readonly method: string,
    /** Scheme, host and port of the last hop. */
    private readonly origin: string,
    /** Path and query of the last hop. */
    readonly path: string,
  ) {}

  /** `http:` or `https:`. */
  get protocol(): string {
    return this.origin.slice(0, this.origin.indexOf('/'));
  }

  /** The host's name, without the port. */
  get host(): string {
    return new URL(this.origin).hostname;
  }

  /** The answer's side, as far as axios users know it. */
  get res(): { readonly responseUrl: string } {
    return { responseUrl: this.origin + this.path };
  }
}
