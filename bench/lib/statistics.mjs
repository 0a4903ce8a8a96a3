// Figures of rounds, and ratios of them.

/** @param {number} share 0 … 1; between two values when it falls there */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = Math.floor(position);
  const above = Math.ceil(position);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

export const median = (numbers) => quantile(numbers, 0.5);

/** Median and extremes of the rounds; null without a figure. */
export function spread(numbers) {
  const known = numbers.filter((number) => Number.isFinite(number));
  if (known.length === 0) return null;
  return { median: median(known), least: Math.min(...known), most: Math.max(...known), rounds: known.length };
}

/** Round by round, because what disturbs a machine disturbs neighbours alike. */
export function ratios(ours, theirs) {
  const rounds = Math.min(ours.length, theirs.length);
  return spread(Array.from({ length: rounds }, (_, round) => ours[round] / theirs[round]));
}
