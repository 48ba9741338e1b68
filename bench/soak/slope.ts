/** The straight line through samples, by least squares. */

export interface Sample {
  /** Hours. */
  readonly at: number;
  readonly value: number;
}

/** What the values grow by in an hour; 0 for fewer than two samples. */
export function slopePerHour(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const at = mean((sample) => sample.at);
  const value = mean((sample) => sample.value);
  let covariance = 0;
  let variance = 0;
  for (const sample of samples) {
    covariance += (sample.at - at) * (sample.value - value);
    variance += (sample.at - at) ** 2;
  }
  return variance === 0 ? 0 : covariance / variance;
}
