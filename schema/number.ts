/**
 * Every kind of number that a document may hold, with bounds. A bare `v.number()` accepts infinity,
 * which JSON turns into `null`, and integers that lose digits; the tidy test bans it elsewhere.
 */
import * as v from "valibot";

/** The largest whole number that survives a JSON round trip and the database driver: 2^53 − 1. */
export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
/** The latest instant that `Date` can represent (ECMA-262, time value range), in milliseconds. */
const INSTANT_MAX = 8_640_000_000_000_000;

const RANGE = `must be between -${INTEGER_MAX} and ${INTEGER_MAX}`;

/** A number with or without a fraction. */
export const finite = v.pipe(
  v.number(),
  v.finite("must be a finite number"),
  v.minValue(-INTEGER_MAX, RANGE),
  v.maxValue(INTEGER_MAX, RANGE),
);

/** A device reading. Broken hardware may return anything: clamped, so that the report is valid. */
export const reading = v.pipe(
  v.number(),
  v.finite("must be a finite number"),
  v.transform((value) => Math.max(-INTEGER_MAX, Math.min(INTEGER_MAX, value))),
);

/** A percentage, clamped: pool sizes are computed from it. */
export const percentReading = v.pipe(
  v.number(),
  v.finite("must be a finite number"),
  v.transform((value) => (value < 0 ? 0 : value > 100 ? 100 : value)),
);

/** Not negative: an amount, a price, a duration in milliseconds that may have a fraction. */
export const amount = v.pipe(finite, v.minValue(0));
/** A whole number of either sign; `message` says what was expected. */
export const whole = (message?: string) => v.pipe(v.number(message), v.safeInteger(message));
export const integer = whole();
/** A whole number from 0. */
export const count = v.pipe(integer, v.minValue(0));
/** A whole number from 1. */
export const positive = v.pipe(integer, v.minValue(1));
/** A place in an agent's stream of findings, from 1. */
export const seq = positive;
/** A duration in whole milliseconds. */
export const millis = count;
/** Wall-clock milliseconds since 1970 of the control plane's clock. */
export const instant = v.pipe(count, v.maxValue(INSTANT_MAX, "must be a time that a date has"));
/** The same of a clock that may be wrong, such as a node's: before 1970 is possible. */
export const instantOfNode = v.pipe(
  integer,
  v.minValue(-INSTANT_MAX),
  v.maxValue(INSTANT_MAX, "must be a time that a date has"),
);
/** From 0 to 1. */
export const share = v.pipe(amount, v.maxValue(1));
