/** What the measurement and the process that holds the streams open tell each other. Pure. */
import * as v from "valibot";
import { amount, count } from "../../../schema/number.ts";

export const ReaderOrder = v.object({
  url: v.string(),
  /** The page that all of them watch. */
  path: v.string(),
  streams: count,
  /** Tokens of people; each logs in for its share of the streams. */
  tokens: v.array(v.string()),
});
export type ReaderOrder = v.InferOutput<typeof ReaderOrder>;

/** A line on its standard input. */
export const ReaderAsk = v.picklist(["open", "begin", "end", "close"]);
export type ReaderAsk = v.InferOutput<typeof ReaderAsk>;

/** What the streams received between `begin` and `end`. */
export const Received = v.object({
  open: count,
  /** Streams that the control plane has ended, or that broke. */
  ended: count,
  bytes: count,
  /** Of the stream that received least. */
  leastBytes: count,
  leastEvents: count,
  /** By name. */
  events: v.record(v.string(), count),
});
export type Received = v.InferOutput<typeof Received>;

/** Its answer to each line; the first says that all have logged in. */
export const ReaderLine = v.variant("kind", [
  v.object({ kind: v.literal("ready") }),
  v.object({ kind: v.literal("opened"), ms: amount, firstEventMs: v.array(amount) }),
  v.object({ kind: v.literal("begun") }),
  v.object({ kind: v.literal("ended"), received: Received }),
  v.object({ kind: v.literal("closed") }),
]);
export type ReaderLine = v.InferOutput<typeof ReaderLine>;
