/**
 * What a day asks for and what goes wrong in it. Hours are those of a whole day; a shorter run
 * squeezes the day into its own length. Pure.
 */
export type Weather = {
  cloud: "lambda" | "gcp";
  kind: "stock-out" | "quota" | "rate limits" | "outage" | "lost replies";
  from: number;
  to: number;
};

export const WEATHER: readonly Weather[] = [
  { cloud: "gcp", kind: "rate limits", from: 6.5, to: 7.5 },
  { cloud: "lambda", kind: "stock-out", from: 7.5, to: 9 },
  { cloud: "gcp", kind: "stock-out", from: 10.25, to: 11.25 },
  { cloud: "lambda", kind: "lost replies", from: 12.75, to: 13.5 },
  { cloud: "lambda", kind: "outage", from: 15, to: 16 },
  { cloud: "gcp", kind: "quota", from: 16, to: 16.75 },
  { cloud: "lambda", kind: "rate limits", from: 17.25, to: 18 },
];

/** Hours at which a GPU of a training machine falls off the bus (XID 79). */
export const FAULTS: readonly number[] = [5, 12.5, 20];

export const DAY_HOURS = 24;

type Burst = readonly [at: number, width: number, size: number];
const TRAINING: readonly Burst[] = [
  [8, 1, 24],
  [13.5, 0.75, 48],
  [15.75, 0.6, 64],
  [18, 0.75, 96],
];
const INFERENCE: readonly Burst[] = [
  [11, 0.75, 4],
  [16.75, 0.75, 8],
];

/** One GPU each: how many jobs of the training pool want to run at an hour of the day. */
export function trainingJobs(hour: number): number {
  return Math.round(8 + 36 * daylight(hour) + burstsAt(TRAINING, hour));
}

/** How many machines of the inference pool would be fully used at an hour of the day. */
export function inferenceLoad(hour: number): number {
  return 2 + 5 * daylight(hour) + burstsAt(INFERENCE, hour);
}

/** 0 at night, 1 in the early afternoon. */
function daylight(hour: number): number {
  return hour < 6 || hour > 22 ? 0 : Math.sin(((hour - 6) / 16) * Math.PI);
}

function burstsAt(bursts: readonly Burst[], hour: number): number {
  return bursts
    .filter(([at, width]) => Math.abs(hour - at) < width)
    .reduce((total, [, , size]) => total + size, 0);
}

export function weatherAt(hour: number): readonly Weather[] {
  return WEATHER.filter(({ from, to }) => hour >= from && hour < to);
}
