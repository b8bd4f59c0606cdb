/**
 * What is remembered of a node's object in Kubernetes: refusals of its mark, the names that it had,
 * and who took the mark off. All bounded, because a cluster can repeat any of it for ever.
 */
import * as v from "valibot";
import { instant } from "./number.ts";

const text = v.string();

/** The API server refuses to mark or unmark it: what, why, since when, and the last time. */
export const KubeRefusal = v.object({ what: text, message: text, since: instant, at: instant });
export type KubeRefusal = v.InferOutput<typeof KubeRefusal>;

export const FORMER_NAMES_MAX = 8;
/** Newest first, each with the instant at which the object ceased to have it. */
export const FormerNames = v.pipe(
  v.array(v.object({ name: text, at: instant })),
  v.maxLength(FORMER_NAMES_MAX),
);

export const UNCORDONS_MAX = 8;
/** Oldest first. `by`: the field manager that wrote the object then; `null` = none is recorded. */
export const Uncordons = v.pipe(
  v.array(v.object({ at: instant, by: v.nullable(text) })),
  v.maxLength(UNCORDONS_MAX),
);
export type Uncordons = v.InferOutput<typeof Uncordons>;
