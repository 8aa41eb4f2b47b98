import type { Feed, FeedHome } from './feed.js';
import { PullFeed } from './pull-feed.js';
import { PushFeed } from './push-feed.js';
import type { FeedReport, FeedSource } from './source.js';

/** Begins to watch `source`. */
export function openFeed<T>(source: FeedSource<T>, home: FeedHome, report: (report: FeedReport<T>) => void): Feed {
  return 'read' in source ? new PullFeed(source, home, report) : new PushFeed(source, home, report);
}
