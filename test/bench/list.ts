/** Every bench, in the order in which they run when none is named. */
import type { Bench } from "./bench.ts";
import { beside } from "./beside.ts";
import { footprint } from "./footprint.ts";
import { empty } from "./empty.ts";
import { forecastBench } from "./forecast.ts";
import { ingest } from "./ingest.ts";
import { latency } from "./latency.ts";
import { scaling } from "./scaling.ts";
import { scarce } from "./scarce.ts";

export const BENCHES: readonly Bench[] = [
  ingest,
  latency,
  footprint,
  beside,
  empty,
  scaling,
  forecastBench,
  scarce,
];
