/** The next version of STOCK, which only calls of its lane reach. */
process.env['LANE'] = 'canary';
await import('../stock/main.js');
