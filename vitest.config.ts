import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Half of what a short process costs is the reading of its sources; tests start hundreds of them. */
const env = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url)),
};

/** `unit` needs nothing but npm packages; `system` runs real QEMU, libnbd and libtorrent, one file at a time. */
export default defineConfig({
  test: {
    allowOnly: false,
    projects: [
      {
        test: {
          name: 'unit',
          env,
          include: [
            'packages/*/test/**/*.test.ts',
            'apps/*/test/**/*.test.ts',
            'scripts/*.test.ts',
            'test/{tidy,sim}/*.test.ts',
          ],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'system',
          env,
          include: ['test/{e2e,interop,openstack,faults,web}/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
