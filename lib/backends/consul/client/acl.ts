import type { Answer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import { definition, idOf, segment, type Duration } from './values.js';

/** A policy or role that is meant, by id or name. */
export interface AclLink {
  readonly ID?: string;
  readonly Name?: string;
}

/** What tokens and roles have in common. */
interface AclGrants {
  readonly Policies?: readonly AclLink[] | null;
  readonly ServiceIdentities?:
    readonly { readonly ServiceName: string; readonly Datacenters?: readonly string[] }[] | null;
  readonly NodeIdentities?: readonly { readonly NodeName: string; readonly Datacenter: string }[] | null;
  readonly TemplatedPolicies?: readonly object[] | null;
}

/** A token to create. */
export interface TokenDefinition extends AclGrants {
  readonly AccessorID?: string;
  readonly SecretID?: string;
  readonly Description?: string;
  readonly Roles?: readonly AclLink[] | null;
  readonly Local?: boolean;
  /** From a minute to a day. */
  readonly ExpirationTTL?: Duration;
}

/** A token. `SecretID` is the credential; `<hidden>` for those who may only read. */
export interface AclToken extends Omit<TokenDefinition, 'ExpirationTTL'> {
  readonly AccessorID: string;
  readonly SecretID: string;
  readonly CreateTime: string;
  readonly ExpirationTime?: string;
  readonly AuthMethod?: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

/** A policy to create: what may be done, as text in Consul's rule language (HCL or JSON). */
export interface PolicyDefinition {
  readonly Name: string;
  readonly Description?: string;
  readonly Rules?: string;
  readonly Datacenters?: readonly string[] | null;
}

/** A policy. Lists of them leave the rules out. */
export interface AclPolicy extends PolicyDefinition {
  readonly ID: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

/** A role to create: policies under one name. */
export interface RoleDefinition extends AclGrants {
  readonly Name: string;
  readonly Description?: string;
}

/** A role. */
export interface AclRole extends RoleDefinition {
  readonly ID: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

/** Where identities come from that may log in. */
export interface AuthMethod {
  readonly Name: string;
  readonly Type: string;
  readonly DisplayName?: string;
  readonly Description?: string;
  readonly MaxTokenTTL?: Duration;
  readonly TokenLocality?: string;
  readonly Config: object;
}

/** What an identity is given when it logs in. */
export interface BindingRule {
  readonly ID?: string;
  readonly AuthMethod: string;
  readonly BindType: string;
  readonly BindName?: string;
  readonly Selector?: string;
  readonly Description?: string;
}

/** How the replication of ACLs from the primary datacentre goes. */
export interface AclReplication {
  readonly Enabled: boolean;
  readonly Running: boolean;
  readonly SourceDatacenter: string;
  readonly ReplicationType: string;
  readonly ReplicatedIndex: number;
  readonly ReplicatedRoleIndex: number;
  readonly ReplicatedTokenIndex: number;
  readonly LastSuccess: string;
  readonly LastError: string;
  readonly LastErrorMessage: string;
}

/** A token, or its accessor id: never the secret. */
export type AclTokenLike = string | { readonly AccessorID: string };
type WithId = string | { readonly ID: string };

const ACCESSOR = ['AccessorID'];
const ID = ['ID'];

/** Tokens: who may. */
export class AclTokensApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Creates a token; its secret is in the answer. */
  async create(token: TokenDefinition = {}, options?: ConsulCallOptions): Promise<AclToken> {
    const json = definition(token, ['ExpirationTTL']);
    return (await this.http.request('PUT', '/acl/token', { ...options, json })).object();
  }

  /** Replaces what a token may; lists that are left out become empty. */
  async update(
    token: TokenDefinition & { readonly AccessorID: string },
    options?: ConsulCallOptions,
  ): Promise<AclToken> {
    const path = `/acl/token/${segment(token, ACCESSOR, 'token')}`;
    return (await this.http.request('PUT', path, { ...options, json: definition(token, ['ExpirationTTL']) })).object();
  }

  /**
   * One token.
   * @throws ConsulError `not-found` when there is none; `unauthorized` ("ACL not found") of some versions
   */
  async info(token: AclTokenLike, options?: ReadOptions): Promise<Answer<AclToken>> {
    const response = await this.http.request('GET', `/acl/token/${segment(token, ACCESSOR, 'token')}`, options);
    return response.with(response.object<AclToken>());
  }

  /** The token that the request was made with. */
  async self(options?: ReadOptions): Promise<Answer<AclToken>> {
    const response = await this.http.request('GET', '/acl/token/self', options);
    return response.with(response.object<AclToken>());
  }

  /** Creates a token that may the same. */
  async clone(
    token: AclTokenLike,
    { description, ...options }: ConsulCallOptions & { readonly description?: string } = {},
  ): Promise<AclToken> {
    const path = `/acl/token/${segment(token, ACCESSOR, 'token')}/clone`;
    const json = definition({ Description: description });
    return (await this.http.request('PUT', path, { ...options, json })).object();
  }

  /** Removes a token. */
  async destroy(token: AclTokenLike, options?: ConsulCallOptions): Promise<boolean> {
    return (await this.http.request('DELETE', `/acl/token/${segment(token, ACCESSOR, 'token')}`, options)).flag();
  }

  /** All tokens, or those with a policy, a role, an auth method. */
  async list({
    policy,
    role,
    authMethod,
    ...options
  }: ReadOptions & {
    readonly policy?: WithId;
    readonly role?: WithId;
    readonly authMethod?: string | { readonly Name: string };
  } = {}): Promise<Answer<readonly AclToken[]>> {
    const query = {
      policy: policy === undefined ? undefined : idOf(policy, ID, 'policy'),
      role: role === undefined ? undefined : idOf(role, ID, 'role'),
      authmethod: authMethod === undefined ? undefined : idOf(authMethod, ['Name'], 'authMethod'),
    };
    const response = await this.http.request('GET', '/acl/tokens', { ...options, query });
    return response.with(response.list<AclToken>());
  }
}

/** Things with an id and a name: policies and roles. */
export class AclNamedApi<D extends object, T extends D & { readonly ID: string }> {
  constructor(
    private readonly http: ConsulRequests,
    private readonly kind: 'policy' | 'role',
    private readonly plural: 'policies' | 'roles',
  ) {}

  /** Creates one. */
  async create(what: D, options?: ConsulCallOptions): Promise<T> {
    return (await this.http.request('PUT', `/acl/${this.kind}`, { ...options, json: definition(what) })).object<T>();
  }

  /** Replaces one. */
  async update(what: D & { readonly ID: string }, options?: ConsulCallOptions): Promise<T> {
    return (await this.http.request('PUT', this.path(what), { ...options, json: definition(what) })).object<T>();
  }

  /** One. @throws ConsulError `not-found` (`unauthorized` of some versions) when there is none */
  async info(what: WithId, options?: ReadOptions): Promise<Answer<T>> {
    const response = await this.http.request('GET', this.path(what), options);
    return response.with(response.object<T>());
  }

  /** One by its name. @throws as `info` */
  async byName(name: string, options?: ReadOptions): Promise<Answer<T>> {
    const path = `/acl/${this.kind}/name/${segment(name, [], 'name')}`;
    const response = await this.http.request('GET', path, options);
    return response.with(response.object<T>());
  }

  /** Removes one. */
  async destroy(what: WithId, options?: ConsulCallOptions): Promise<boolean> {
    return (await this.http.request('DELETE', this.path(what), options)).flag();
  }

  /** All. */
  async list(options?: ReadOptions): Promise<Answer<readonly T[]>> {
    const response = await this.http.request('GET', `/acl/${this.plural}`, options);
    return response.with(response.list<T>());
  }

  private path(what: WithId): string {
    return `/acl/${this.kind}/${segment(what, ID, this.kind)}`;
  }
}

/** Auth methods: where identities come from. */
export class AclAuthMethodsApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Creates one. */
  async create(method: AuthMethod, options?: ConsulCallOptions): Promise<AuthMethod> {
    const json = definition(method, ['MaxTokenTTL']);
    return (await this.http.request('PUT', '/acl/auth-method', { ...options, json })).object();
  }

  /** Replaces one. */
  async update(method: AuthMethod, options?: ConsulCallOptions): Promise<AuthMethod> {
    const json = definition(method, ['MaxTokenTTL']);
    return (await this.http.request('PUT', this.path(method), { ...options, json })).object();
  }

  /** One. @throws ConsulError `not-found` (`unauthorized` of some versions) when there is none */
  async info(method: string | { readonly Name: string }, options?: ReadOptions): Promise<Answer<AuthMethod>> {
    const response = await this.http.request('GET', this.path(method), options);
    return response.with(response.object<AuthMethod>());
  }

  /** Removes one, and all tokens that came from it. */
  async destroy(method: string | { readonly Name: string }, options?: ConsulCallOptions): Promise<boolean> {
    return (await this.http.request('DELETE', this.path(method), options)).flag();
  }

  /** All. */
  async list(options?: ReadOptions): Promise<Answer<readonly AuthMethod[]>> {
    const response = await this.http.request('GET', '/acl/auth-methods', options);
    return response.with(response.list<AuthMethod>());
  }

  private path(method: string | { readonly Name: string }): string {
    return `/acl/auth-method/${segment(method, ['Name'], 'authMethod')}`;
  }
}

/** Binding rules: what identities that log in are given. */
export class AclBindingRulesApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Creates one. */
  async create(rule: BindingRule, options?: ConsulCallOptions): Promise<BindingRule & { readonly ID: string }> {
    return (await this.http.request('PUT', '/acl/binding-rule', { ...options, json: definition(rule) })).object();
  }

  /** Replaces one. */
  async update(
    rule: BindingRule & { readonly ID: string },
    options?: ConsulCallOptions,
  ): Promise<BindingRule & { readonly ID: string }> {
    const path = `/acl/binding-rule/${segment(rule, ID, 'rule')}`;
    return (await this.http.request('PUT', path, { ...options, json: definition(rule) })).object();
  }

  /** One. @throws ConsulError `not-found` (`unauthorized` of some versions) when there is none */
  async info(rule: WithId, options?: ReadOptions): Promise<Answer<BindingRule>> {
    const response = await this.http.request('GET', `/acl/binding-rule/${segment(rule, ID, 'rule')}`, options);
    return response.with(response.object<BindingRule>());
  }

  /** Removes one. */
  async destroy(rule: WithId, options?: ConsulCallOptions): Promise<boolean> {
    return (await this.http.request('DELETE', `/acl/binding-rule/${segment(rule, ID, 'rule')}`, options)).flag();
  }

  /** All. */
  async list(options?: ReadOptions): Promise<Answer<readonly BindingRule[]>> {
    const response = await this.http.request('GET', '/acl/binding-rules', options);
    return response.with(response.list<BindingRule>());
  }
}

/** A right to ask for. */
export interface AclQuestion {
  readonly Resource: string;
  readonly Access: 'read' | 'list' | 'write';
  readonly Segment?: string;
}

/** Who may do what. Servers without ACLs answer everything here with ConsulError `acl-disabled`. */
export class AclApi {
  readonly tokens: AclTokensApi;
  readonly policies: AclNamedApi<PolicyDefinition, AclPolicy>;
  readonly roles: AclNamedApi<RoleDefinition, AclRole>;
  readonly authMethods: AclAuthMethodsApi;
  readonly bindingRules: AclBindingRulesApi;

  constructor(private readonly http: ConsulRequests) {
    this.tokens = new AclTokensApi(http);
    this.policies = new AclNamedApi(http, 'policy', 'policies');
    this.roles = new AclNamedApi(http, 'role', 'roles');
    this.authMethods = new AclAuthMethodsApi(http);
    this.bindingRules = new AclBindingRulesApi(http);
  }

  /**
   * Creates the first token, which may everything; once in the life of a cluster.
   * @throws ConsulError `unauthorized` when it was done before
   */
  async bootstrap({ secret, ...options }: ConsulCallOptions & { readonly secret?: string } = {}): Promise<AclToken> {
    const json = secret === undefined ? undefined : { BootstrapSecret: secret };
    return (await this.http.request('PUT', '/acl/bootstrap', { ...options, json })).object();
  }

  /** How the replication from the primary datacentre goes. */
  async replication(options?: ReadOptions): Promise<AclReplication> {
    return (await this.http.request('GET', '/acl/replication', options)).object();
  }

  /** Exchanges the proof of an identity for a token. */
  async login(
    login: {
      readonly AuthMethod: string;
      readonly BearerToken: string;
      readonly Meta?: Readonly<Record<string, string>>;
    },
    options?: ConsulCallOptions,
  ): Promise<AclToken> {
    return (await this.http.request('POST', '/acl/login', { ...options, json: login })).object();
  }

  /** Ends the token that the request is made with, which came from a login. */
  async logout(options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('POST', '/acl/logout', options);
    return true;
  }

  /**
   * Whether the request's token may, question by question; anonymous requests may ask too. An interface of the servers'
   * own user interface, there since 1.8 and not promised by their documentation.
   */
  async authorize(questions: readonly AclQuestion[], options?: ConsulCallOptions): Promise<readonly boolean[]> {
    const response = await this.http.request('POST', '/internal/acl/authorize', { ...options, json: questions });
    return response.list<{ readonly Allow: boolean }>().map(({ Allow }) => Allow);
  }
}
