/** Loaded into an agent with NODE_OPTIONS=--import: SIGUSR2 gets its event loop stuck for good. */
process.on('SIGUSR2', () => {
  for (;;);
});
