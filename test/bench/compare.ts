import type { Figures, Recording } from './all.js';
import { median, round } from './statistics.js';

/** How a figure differs between two recordings. */
export interface Comparison {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  /** After by before. */
  readonly ratio: number;
  readonly verdict: 'better' | 'worse' | 'within the noise';
}

/** A smaller difference is none, however quiet the machine was. */
const LEAST = 0.05;

/** Figures of which more is better; of all others less is. */
const MORE_IS_BETTER = /throughput|perS(?:econd)?$|VsSequential$|calls$/i;

/** What is a size of the benchmark and no result. */
const SIZES = /(?:^|\.)(?:instances|services|changes|rounds|clients|runs|seconds)$/;

/**
 * What became of each figure that both recordings have. Better or worse is what the runs of the one recording are further
 * away from those of the other than the runs of either are from each other, by at least a twentieth between the medians; a recording of
 * one run has no noise to go by, so twice as much is asked.
 */
export function compare(before: Recording, after: Recording): readonly Comparison[] {
  const all: Comparison[] = [];
  for (const [bench, earlier] of Object.entries(before.results)) {
    const later = after.results[bench] ?? [];
    for (const name of Object.keys(earlier[0] ?? {})) {
      if (SIZES.test(name)) continue;
      const [a, b] = [valuesOf(earlier, name), valuesOf(later, name)];
      if (a.length > 0 && b.length > 0) all.push(comparisonOf(`${bench}.${name}`, a, b));
    }
  }
  return all;
}

function valuesOf(runs: readonly Figures[], name: string): readonly number[] {
  return runs.flatMap((figures) => figures[name] ?? []);
}

function comparisonOf(name: string, a: readonly number[], b: readonly number[]): Comparison {
  const [before, after] = [median(a), median(b)];
  const ratio = before === after ? 1 : after / before;
  const noise = Math.max(spreadOf(a), spreadOf(b));
  const apart =
    Math.min(...b) - Math.max(...a) > noise ? 'more' : Math.min(...a) - Math.max(...b) > noise ? 'less' : 'overlapping';
  const least = a.length > 1 && b.length > 1 ? LEAST : 2 * LEAST;
  const matters = Math.abs(Math.log(ratio)) > Math.log(1 + least);
  const verdict =
    apart === 'overlapping' || !matters
      ? 'within the noise'
      : (apart === 'more') === MORE_IS_BETTER.test(name)
        ? 'better'
        : 'worse';
  return { name, before, after, ratio: round(ratio, 3), verdict };
}

function spreadOf(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

/** A table of what is better or worse, and how many figures are neither. */
export function comparisonText(comparisons: readonly Comparison[]): string {
  const told = comparisons.filter(({ verdict }) => verdict !== 'within the noise');
  const lines = told
    .toSorted((a, b) => Math.abs(Math.log(b.ratio)) - Math.abs(Math.log(a.ratio)))
    .map(
      ({ name, before, after, ratio, verdict }) =>
        `${verdict.padEnd(7)} ${name.padEnd(56)} ${String(round(before, 3)).padStart(12)} → ${String(round(after, 3)).padStart(12)}   × ${ratio}`,
    );
  return [...lines, `${comparisons.length - told.length} of ${comparisons.length} figures are within the noise`].join(
    '\n',
  );
}
