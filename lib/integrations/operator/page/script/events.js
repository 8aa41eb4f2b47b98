// What happened, as it happens.

import { LABELS, byId, el, pill, setText } from './dom.js';
import { clock, plural } from './words.js';
import { page } from './state.js';

const MAX_EVENTS = 200;

function addEvent(event) {
  if (event.id <= page.lastEvent && event.id !== 0) return;
  page.lastEvent = Math.max(page.lastEvent, event.id);
  const list = byId('event-list');
  const time = el('time', {
    dateTime: new Date(event.at).toISOString(),
    title: new Date(event.at).toString(),
    textContent: clock(event.at),
  });
  const text = el('span', { className: 'text', textContent: event.text });
  list.prepend(
    el(
      'li',
      { 'data-level': event.level, 'data-type': event.type },
      time,
      pill(event.level, LABELS[event.level] || 'NOTE'),
      text,
    ),
  );
  while (list.children.length > MAX_EVENTS) list.lastElementChild.remove();
  renderEventsNote();
  if (/^(instance|backend|registration|readiness|health)/.test(event.type)) page.pollSoon();
}

export function renderEventsNote() {
  const parts = [page.source === undefined ? 'not live' : 'live'];
  const dropped = page.overview === undefined ? 0 : page.overview.events.dropped;
  if (dropped > 0) parts.push(plural(dropped, 'event was', 'events were') + ' too many to show');
  if (page.missed > 0) parts.push(plural(page.missed, 'event was', 'events were') + ' dropped for this browser');
  setText(byId('events-note'), parts.join(' · '));
}

export function listen() {
  const stream = new EventSource('events?after=' + page.lastEvent);
  stream.addEventListener('open', () => {
    page.source = stream;
    renderEventsNote();
  });
  stream.addEventListener('message', ({ data }) => addEvent(JSON.parse(data)));
  stream.addEventListener('dropped', ({ data }) => {
    page.missed += Number(data) || 0;
    renderEventsNote();
  });
  stream.addEventListener('error', () => {
    page.source = undefined;
    renderEventsNote();
    // Closed means that the browser won't try again by itself: too many streams, or the app has begun anew.
    stream.close();
    setTimeout(listen, 3000 + Math.random() * 2000);
  });
}
