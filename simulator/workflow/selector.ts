/** Selectors of Nodes: a list of label maps, of which one has to match. */
import * as v from "valibot";
import { textMap } from "./param.ts";

export type Labels = Readonly<Record<string, string>>;

/** `a=1,b=2`, as the API reads it. */
export const formatSelector = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

/** An empty map would match every Node of the cluster, real ones too. */
const labels = v.pipe(
  textMap,
  v.check((map) => Object.keys(map).length > 0, "expected a label or more"),
);

export const nodeSelectors = v.pipe(
  v.array(labels, "expected a list of label maps"),
  v.minLength(1, "expected a label map or more"),
);

/** For people: `pool=train or pool=infer`. */
export const formatSelectors = (selectors: readonly Labels[]): string =>
  selectors.map(formatSelector).join(" or ");

/** For the API, where one selector is all there is: `{ labelSelector: "pool=train" }`. */
export function queryOf(selectors: readonly Labels[]): Record<string, string> {
  const [only, ...others] = selectors;
  return only === undefined || others.length > 0 ? {} : { labelSelector: formatSelector(only) };
}

export function isSelected(selectors: readonly Labels[], live: Labels): boolean {
  const has = (wanted: Labels) => Object.entries(wanted).every(([key, text]) => live[key] === text);
  return selectors.some(has);
}
