/** Scenarios that take minutes: not part of any test run, but of `npm run once -- scenarios`. */
export const LONG: readonly string[] = [
  "xid-comprehensive",
  "1000-node-chaos",
  "stock-out-day",
  "cascading-failures",
  "five-percent-of-10000",
  "5000-node-extreme",
];
