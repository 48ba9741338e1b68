/** Builds the page into the tracker, which serves index.html at `/` and all other files at `/ui/`. */
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  base: '/ui/',
  build: {
    outDir: '../tracker/dist/web',
    emptyOutDir: true,
    // The tracker serves one directory without any below it.
    assetsDir: '',
    // A data: URL is a request that the policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
});
