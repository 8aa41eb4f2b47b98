import type { LibraryStat } from './library.js';

/** What ZooKeeper knows of a node besides its data. */
export interface NodeStat {
  /** The transaction that created it. */
  readonly czxid: bigint;
  /** The transaction that last wrote its data. */
  readonly mzxid: bigint;
  /** The transaction that last added or removed a child. */
  readonly pzxid: bigint;
  /** When it was created, in milliseconds since the epoch. */
  readonly createdAt: number;
  /** When its data was last written, in milliseconds since the epoch. */
  readonly modifiedAt: number;
  /** How often its data was written. */
  readonly version: number;
  /** How often a child was added or removed. */
  readonly childrenVersion: number;
  /** The session that it vanishes with, as 16 hexadecimal digits; undefined for a node that stays. */
  readonly owner?: string;
  readonly dataLength: number;
  readonly childCount: number;
}

/**
 * Tells two writings of nodes of one name apart. The transaction alone doesn't: a server that lost its data counts from
 * the beginning again, and gives what is written anew the numbers, and sequential nodes the names, that others had.
 */
export function writingOf({ mzxid, createdAt, modifiedAt, owner }: NodeStat): string {
  return [mzxid, createdAt, modifiedAt, owner ?? ''].join(' ');
}

/** Which writing of a node's data it is, for compare-and-set; the time is there for what {@link writingOf} says. */
export function revisionOf({ mzxid, modifiedAt }: Pick<NodeStat, 'mzxid' | 'modifiedAt'>): string {
  return `${mzxid}.${modifiedAt}`;
}

/** A session's id as ZooKeeper's own logs write it. */
export function sessionName(id: Buffer): string {
  return id.toString('hex');
}

/** @internal */
export function toNodeStat(stat: LibraryStat): NodeStat {
  const owner = sessionName(stat.ephemeralOwner);
  return {
    czxid: stat.czxid.readBigInt64BE(),
    mzxid: stat.mzxid.readBigInt64BE(),
    pzxid: stat.pzxid.readBigInt64BE(),
    createdAt: Number(stat.ctime.readBigInt64BE()),
    modifiedAt: Number(stat.mtime.readBigInt64BE()),
    version: stat.version,
    childrenVersion: stat.cversion,
    ...(/^0*$/.test(owner) ? {} : { owner }),
    dataLength: stat.dataLength,
    childCount: stat.numChildren,
  };
}
