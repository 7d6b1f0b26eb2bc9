/** How the page is built: one bundle from this folder into dist/, each file compressed beside itself. */
import { defineConfig } from 'vite';
import { compressed } from './compress.vite.ts';

/** `HUB_URL` names the hub that the development server passes requests on to. */
const hub = process.env.HUB_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    // The content security policy of the hub allows files of its own only, no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // Compressing takes its time; an install need not tell.
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  plugins: [compressed()],
  server: {
    port: 5173,
    proxy: Object.fromEntries(['/v1', '/openapi.json'].map((path) => [path, { target: hub, ws: true }])),
  },
});
