/**
 * Runs `operation` for every item, `limit` of them at a time, in order of the list.
 *
 * @throws what the first failing one rejects with, when all that had begun have ended
 */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  operation: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const work = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const item = items[next] as T;
      next += 1;
      try {
        await operation(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, work));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
