/** Runs a step that takes a while and tells the person waiting what it does, then how long it took. Uses stderr only. */
export function timed(what, run) {
  console.error(`setup: ${what} …`);
  const start = Date.now();
  const result = run();
  console.error(`setup: took ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return result;
}
