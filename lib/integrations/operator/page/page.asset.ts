export const PAGE_HTML = '';
export const PAGE_SCRIPT = '';
export const PAGE_STYLE = '';
