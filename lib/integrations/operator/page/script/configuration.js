// The configuration.

import { byId, el, keyed, newRow, setRow, setText } from './dom.js';
import { clock, duration, number, plural } from './words.js';
import { page } from './state.js';

function originOf({ origin }) {
  if (!origin) return '';
  const place = [origin.backend, origin.name].filter(Boolean).join(': ');
  return (place || origin.kind.replace('-', ' ')) + (origin.line === undefined ? '' : ', line ' + origin.line);
}

const textOf = (value) => (value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value));

const cell = (label, ...children) => el('td', { role: 'cell', 'data-label': label }, ...children);

export function renderConfiguration() {
  if (page.overview !== undefined) {
    const { configuration, at } = page.overview;
    keyed(
      byId('configuration-problems'),
      configuration.problems,
      ({ error }) => error.message,
      newRow,
      (row, { since, error }) => {
        setRow(
          row,
          error.code.startsWith('BACKEND') ? 'Not read' : 'Refused',
          'bad',
          error.code,
          'for ' + duration(at - since) + '; the values before stay in force',
          error.message,
        );
      },
    );
    const from = configuration.backends.length === 0 ? 'no backend' : configuration.backends.join(', ');
    const shown =
      page.keys !== undefined && page.keys.keys.length < page.keys.total
        ? ' · ' + page.keys.keys.length + ' of ' + number.format(page.keys.total) + ' shown'
        : '';
    setText(
      byId('configuration-note'),
      plural(configuration.keys, 'key', 'keys') +
        ' from ' +
        from +
        ', in force since ' +
        clock(configuration.since) +
        shown,
    );
  }
  if (page.keys === undefined) return;
  keyed(
    byId('key-list'),
    page.keys.keys,
    ({ key }) => key,
    () =>
      el(
        'tr',
        { role: 'row' },
        cell('Key', el('code')),
        cell('Value', el('code'), el('span', { className: 'small' })),
        cell('Comes from', el('span', { className: 'text' }), el('span', { className: 'small' })),
      ),
    (row, one) => {
      const [key, value, origin] = row.children;
      setText(key.children[0], one.key);
      setText(value.children[0], one.secret ? 'hidden' : textOf(one.value));
      const unresolved = one.unresolved.length > 0 ? 'without a value: ' + one.unresolved.join(', ') : '';
      setText(value.children[1], unresolved || (one.written === undefined ? '' : 'written as ' + textOf(one.written)));
      setText(origin.children[0], originOf(one));
      const over = one.overrides.map((other) => (one.secret ? '' : textOf(other.value) + ' of ') + originOf(other));
      setText(origin.children[1], over.length === 0 ? '' : 'instead of ' + over.join('; '));
    },
  );
}
