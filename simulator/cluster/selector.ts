/**
 * Label and field selectors of lists, watches and disruption budgets, as the API server reads them.
 */
import { isObject, listOf, metaOf, objectOf, textOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import type { Resource } from "./resource.ts";

export type Selector =
  | { kind: "ok"; matches: (object: KubeObject) => boolean; everything: boolean }
  | { kind: "bad"; message: string };

type Test = (labels: KubeObject) => boolean;

const SET = /^([^\s!=<>(),]+)\s+(in|notin)\s*\(([^()]*)\)$/;
const EQUAL = /^([^\s!=<>(),]+)\s*(==|=|!=)\s*([^\s!=<>(),]*)$/;
const EXISTS = /^(!?)\s*([^\s!=<>(),]+)$/;

/** `a=b,c in (d,e),!f`. */
function parseLabels(text: string): Test[] | null {
  const tests: Test[] = [];
  // A comma inside brackets belongs to a set.
  for (const part of text === "" ? [] : text.split(/,(?![^(]*\))/)) {
    const term = part.trim();
    const [set, equal, exists] = [SET.exec(term), EQUAL.exec(term), EXISTS.exec(term)];
    if (set !== null) {
      const [, key = "", operator, list = ""] = set;
      const values = list.split(",").map((value) => value.trim());
      tests.push(
        operator === "in"
          ? (labels) => Object.hasOwn(labels, key) && values.includes(textOf(labels[key]))
          : (labels) => !Object.hasOwn(labels, key) || !values.includes(textOf(labels[key])),
      );
    } else if (equal !== null) {
      const [, key = "", operator, value] = equal;
      tests.push((labels) => (labels[key] === value) === (operator !== "!="));
    } else if (exists !== null) {
      const [, not, key = ""] = exists;
      tests.push((labels) => Object.hasOwn(labels, key) === (not === ""));
    } else {
      return null;
    }
  }
  return tests;
}

/** Absent booleans are `false` for a field selector; `spec.unschedulable` is the only one. */
function fieldReader(path: string): (object: KubeObject) => string {
  const steps = path.split(".");
  const none = path === "spec.unschedulable" ? "false" : "";
  return (object) => {
    let at: unknown = object;
    for (const step of steps) at = objectOf(at)[step];
    return (typeof at === "boolean" ? String(at) : textOf(at)) || none;
  };
}

export function parseSelector(
  resource: Resource,
  query: Readonly<Record<string, string>>,
): Selector {
  const [labelText, fieldSelector] = [query["labelSelector"] ?? "", query["fieldSelector"] ?? ""];
  const labels = parseLabels(labelText);
  if (labels === null) {
    return { kind: "bad", message: `unable to parse requirement: ${labelText}` };
  }
  const fields: ((object: KubeObject) => boolean)[] = [];
  for (const term of fieldSelector === "" ? [] : fieldSelector.split(",")) {
    const match = /^([^!=]+)(==|=|!=)(.*)$/.exec(term);
    if (match === null) return { kind: "bad", message: `invalid selector: '${fieldSelector}'` };
    const [, path = "", operator, value] = match;
    const known = ["metadata.name", "metadata.namespace", ...resource.selectable];
    if (!known.includes(path)) {
      return { kind: "bad", message: `field label not supported: ${path}` };
    }
    const read = fieldReader(path);
    fields.push((object) => (read(object) === value) === (operator !== "!="));
  }
  const matches = (object: KubeObject): boolean => {
    const own = objectOf(metaOf(object)["labels"]);
    return labels.every((test) => test(own)) && fields.every((test) => test(object));
  };
  return { kind: "ok", matches, everything: labels.length + fields.length === 0 };
}

/** A `LabelSelector` object: an empty one matches everything, an absent one nothing. */
export function matchesLabels(selector: unknown, labels: KubeObject): boolean {
  if (!isObject(selector)) return false;
  const wanted = Object.entries(objectOf(selector["matchLabels"]));
  if (!wanted.every(([key, value]) => labels[key] === value)) return false;
  return listOf(selector["matchExpressions"]).every((raw) => {
    const { key, operator, values } = objectOf(raw);
    const has = Object.hasOwn(labels, textOf(key));
    const isIn = has && listOf(values).includes(labels[textOf(key)]);
    switch (operator) {
      case "In":
        return isIn;
      case "NotIn":
        return !isIn;
      case "Exists":
        return has;
      case "DoesNotExist":
        return !has;
      default:
        // The server skips a budget whose selector it cannot read.
        return false;
    }
  });
}
