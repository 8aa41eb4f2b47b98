// How numbers and times are written.

export const number = new Intl.NumberFormat('en-GB');

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return seconds + ' s';
  if (seconds < 3600) return Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
  if (seconds < 86400) return Math.floor(seconds / 3600) + ' h ' + Math.floor((seconds % 3600) / 60) + ' min';
  return Math.floor(seconds / 86400) + ' d ' + Math.floor((seconds % 86400) / 3600) + ' h';
}

export function milliseconds(ms) {
  if (ms === 0) return '–';
  if (ms < 10) return ms.toFixed(1) + ' ms';
  return ms < 10000 ? Math.round(ms) + ' ms' : (ms / 1000).toFixed(1) + ' s';
}

const two = (value) => String(value).padStart(2, '0');

export function clock(at) {
  const time = new Date(at);
  return two(time.getHours()) + ':' + two(time.getMinutes()) + ':' + two(time.getSeconds());
}

export const plural = (count, one, many) => number.format(count) + ' ' + (count === 1 ? one : many);
