/** One object of the console's set: where it lies, when it is there, and when it is refused. */
import type { Ref } from "./ref.ts";

export const CHARTS = ["infrastructure", "coordinator"] as const;
export type ChartName = (typeof CHARTS)[number];

/** A set of values for which nothing is rendered, with what to write instead. */
export type Refusal = { when: Ref; message: string };

export type Part = {
  chart: ChartName;
  /** Below `templates/` of its chart; several objects may share a file. */
  file: string;
  /** Absent: always there. */
  when?: Ref;
  refuse?: Refusal;
  /** Text of the template before the object, for what only helm can look up in the cluster. */
  guard?: string;
  object: object;
};

/** Labels of all objects of the set. */
export const labelsOf = (component: string) => ({
  "app.kubernetes.io/name": "navarch",
  "app.kubernetes.io/part-of": "kai-ml",
  component,
});

/** Objects of no namespace are named after theirs, so that two installations share none. */
export const RELEASE = "kai";
