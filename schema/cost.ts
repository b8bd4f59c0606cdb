/**
 * Durable facts about money: how far an instance's cost is in the roll-up, and the roll-up itself,
 * one fact per pool, provider and month with one entry per day. Months and days are UTC.
 */
import * as v from "valibot";
import { amount, finite, instant } from "./number.ts";

const text = v.string();

/** The part of an instance's cost that is not in a roll-up begins at `to`. */
export const InstanceCost = v.object({
  /** Cost before this instant is in the roll-up of its pool and provider. */
  to: instant,
  /** US dollars an hour since `to`; `null` = unknown. */
  pricePerHour: v.nullable(finite),
  /** When the cloud confirmed its end; `null` while it is billed. */
  endedAt: v.nullable(instant),
});
export type InstanceCost = v.InferOutput<typeof InstanceCost>;

const CostDay = v.object({
  dollars: amount,
  /** Instance time in milliseconds, of known and of unknown price. */
  knownMs: amount,
  unknownMs: amount,
});
export type CostDay = v.InferOutput<typeof CostDay>;

const MONTH_DAYS_MAX = 31;

export const CostFact = v.object({
  kind: v.literal("cost"),
  provider: text,
  /** Empty: the instance belonged to no pool. */
  pool: text,
  /** `2026-11`. */
  month: v.pipe(text, v.regex(/^\d{4}-\d{2}$/)),
  /** Entry 0 is the first of the month; days after the last entry cost nothing. */
  days: v.pipe(v.array(CostDay), v.maxLength(MONTH_DAYS_MAX)),
});
export type CostFact = v.InferOutput<typeof CostFact>;
