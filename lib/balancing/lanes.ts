import { describe, type ServiceInstance } from '../model/index.js';
import type { PickContext } from './picker.js';

/** Sets of instances that only calls of their lane reach: a developer's laptop, a canary. */
export interface LaneOptions {
  /** Name of the metadata that holds an instance's lane; an instance without it is in the base. @default 'lane' */
  readonly metadata?: string;
  /** Header that brings a call's lane, and carries it on to all calls that are made in its course. @default 'x-lane' */
  readonly header?: string;
  /** Calls without a lane reach only instances without one; off, they reach all. @default true */
  readonly isolate?: boolean;
  /**
   * Where calls go whose lane has no instance: those without a lane (`base`), nowhere (`none`), or to whomever there is,
   * other lanes included (`any`). @default 'base'
   */
  readonly fallback?: 'base' | 'none' | 'any';
}

/** Instances that serve some versions of an API. */
export interface VersionOptions {
  /** Name of the metadata that holds an instance's version, or several with commas between them. @default 'version' */
  readonly metadata?: string;
  /** Header of a call that names its version. @default 'x-api-version' */
  readonly header?: string;
  /** Beginning of the path's first segment that names the version: `v` for `/v2/quote`. @default the path names none */
  readonly pathPrefix?: string;
  /** Version of calls that name none. @default any instance */
  readonly default?: string;
  /** Where calls go whose version nobody serves: nowhere, or to whomever there is. @default 'none' */
  readonly fallback?: 'none' | 'any';
}

/** What an instance must be for a group. */
export type Fits = (instance: ServiceInstance) => boolean;

/** The most characters that a lane or a version may have: names come from outside. */
const MAX_NAME = 255;

/** Whether a text can be the name of a lane or a version: printable, and of a sensible length. */
export function isLaneName(text: string): boolean {
  return text !== '' && text.length <= MAX_NAME && /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(text);
}

/**
 * Tells by a call's lane and version which instances it may reach. Names that no instance has lead to one of a few answers,
 * so that whatever comes from outside there are no more groups than instances.
 */
export class Lanes {
  private lanes: ReadonlySet<string> = new Set();
  private versions: ReadonlySet<string> = new Set();

  constructor(
    private readonly lane: LaneOptions | undefined,
    private readonly version: VersionOptions | undefined,
  ) {}

  /** Takes the instances of a new list. */
  survey(instances: readonly ServiceInstance[]): void {
    this.lanes = new Set(this.lane === undefined ? [] : instances.flatMap((one) => this.laneOf(one) ?? []));
    this.versions = new Set(this.version === undefined ? [] : instances.flatMap((one) => this.versionsOf(one)));
  }

  /** The name of the group that a call goes to, the same for all that go to the same; undefined when it goes nowhere. */
  keyFor(context: PickContext): string | undefined {
    const lane = this.laneFor(context);
    if (lane === NOWHERE) return undefined;
    if (this.version === undefined) return lane;
    const version = this.versionFor(context);
    return version === NOWHERE ? undefined : `${version}\n${lane}`;
  }

  /** Whom a call goes to, and to whom when those are not there. */
  tiersFor(context: PickContext): readonly Fits[] {
    const lane = this.laneFor(context);
    const version = this.versionFor(context);
    if (lane === NOWHERE || version === NOWHERE) return [];
    const ofVersion: Fits = version === '' ? () => true : (instance) => this.versionsOf(instance).includes(version);
    return this.laneTiers(lane).map((ofLane) => (instance: ServiceInstance) => ofLane(instance) && ofVersion(instance));
  }

  /** Whether an instance is in a lane, rather than in the base. */
  isInLane(instance: ServiceInstance): boolean {
    return this.lane !== undefined && this.laneOf(instance) !== undefined;
  }

  /** Why calls of this kind don't reach an instance that is UP, for people; undefined when they may. */
  whyNot(instance: ServiceInstance, context: PickContext): string | undefined {
    const { version = this.version?.default, lane } = context;
    if (this.version !== undefined && version !== undefined && !this.versionsOf(instance).includes(version)) {
      const serves = this.versionsOf(instance).join(' and ');
      return `serves ${serves === '' ? 'no version' : `version ${serves}`}, where ${version} is called`;
    }
    if (this.lane === undefined || this.tiersFor(context).some((fits) => fits(instance))) return undefined;
    const own = this.laneOf(instance);
    const called = lane === undefined ? 'the call has none' : `the call is in ${describe(lane)}`;
    return `is in ${own === undefined ? 'no lane' : `lane ${describe(own)}`}, where ${called}`;
  }

  private laneTiers(lane: string): readonly Fits[] {
    const inBase: Fits = (instance) => this.laneOf(instance) === undefined;
    if (lane === EVERYBODY) return [() => true];
    if (lane === BASE) return [inBase];
    const own: Fits = (instance) => this.laneOf(instance) === lane;
    const { fallback = 'base' } = this.lane ?? {};
    if (fallback === 'none') return [own];
    return [own, fallback === 'base' ? inBase : () => true];
  }

  private laneFor({ lane }: PickContext): string {
    if (this.lane === undefined) return EVERYBODY;
    const { isolate = true, fallback = 'base' } = this.lane;
    if (lane === undefined) return isolate ? BASE : EVERYBODY;
    if (this.lanes.has(lane)) return lane;
    if (fallback === 'none') return NOWHERE;
    return fallback === 'base' ? BASE : EVERYBODY;
  }

  private versionFor({ version = this.version?.default }: PickContext): string {
    if (this.version === undefined || version === undefined) return '';
    if (this.versions.has(version)) return version;
    return this.version.fallback === 'any' ? '' : NOWHERE;
  }

  private laneOf({ metadata }: ServiceInstance): string | undefined {
    const lane = metadata[this.lane?.metadata ?? 'lane'];
    return lane === '' ? undefined : lane;
  }

  private versionsOf({ metadata }: ServiceInstance): readonly string[] {
    const versions = metadata[this.version?.metadata ?? 'version'];
    return versions === undefined ? [] : versions.split(',').map((version) => version.trim());
  }
}

/** Names that no lane can have, as they hold a control character. */
const BASE = '\0base';
const EVERYBODY = '\0everybody';
const NOWHERE = '\0nowhere';
