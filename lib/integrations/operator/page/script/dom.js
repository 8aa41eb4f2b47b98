// What puts things on the page. Texts are put there as texts: no name that somebody has registered can become markup.

export const byId = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

/** An element with properties, attributes (those with a dash, and role) and children. */
export function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setLevel(element, level) {
  if (element.dataset.level !== level) element.dataset.level = level;
}

export const pill = (level, text) => el('span', { className: 'pill', 'data-level': level, textContent: text });

export function setPill(element, level, text) {
  setLevel(element, level);
  setText(element, text);
}

/** Keeps an element for each item, in order; what has the focus keeps it. */
export function keyed(parent, items, keyOf, create, update) {
  const known = parent.known || (parent.known = new Map());
  const wanted = new Set();
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let element = known.get(key);
    if (element === undefined) known.set(key, (element = create(item)));
    update(element, item);
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
  for (const [key, element] of known) {
    if (wanted.has(key)) continue;
    if (element === at) at = at.nextElementSibling;
    element.remove();
    known.delete(key);
  }
}

/** The word of a level. */
export const LABELS = { bad: 'BAD', warn: 'LOOK', info: 'NOTE', good: 'FINE' };

export function setRow(row, name, level, state, facts, because) {
  setText(row.children[0], name);
  setPill(row.children[1], level, state);
  setText(row.children[2], facts);
  setText(row.children[3], because);
  row.children[3].hidden = because === '';
}

export const newRow = () =>
  el(
    'li',
    {},
    el('span', { className: 'name' }),
    pill('info', ''),
    el('span', { className: 'note' }),
    el('span', { className: 'because' }),
  );
