/**
 * The history of a node's object in Kubernetes: refusals of its mark, former names, and removals of
 * the mark. All bounded, because a cluster may repeat them without end.
 */
import * as v from "valibot";
import { instant } from "./number.ts";

const text = v.string();

/** A refusal to mark or unmark it; `at` is the last one. */
export const KubeRefusal = v.object({ what: text, message: text, since: instant, at: instant });
export type KubeRefusal = v.InferOutput<typeof KubeRefusal>;

export const FORMER_NAMES_MAX = 8;
/** Newest first; `at` is the end of the name. */
export const FormerNames = v.pipe(
  v.array(v.object({ name: text, at: instant })),
  v.maxLength(FORMER_NAMES_MAX),
);

export const UNCORDONS_MAX = 8;
/** Oldest first. `by`: the field manager of that write, if recorded. */
export const Uncordons = v.pipe(
  v.array(v.object({ at: instant, by: v.nullable(text) })),
  v.maxLength(UNCORDONS_MAX),
);
export type Uncordons = v.InferOutput<typeof Uncordons>;
