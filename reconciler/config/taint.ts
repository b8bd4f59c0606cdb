/**
 * Reads a pool's taints: mappings as in a Node, or `key=value:Effect` as for `kubectl taint`.
 * `NoExecute` is refused: it evicts running pods past their disruption budgets.
 */
import type { PoolTaint } from "../../schema/config/field.ts";
import { isLabelKey, isLabelValue } from "./label.ts";
import type { Problems } from "./problem.ts";
import { type Section, readSection } from "./section.ts";
import type { Tree } from "./tree.ts";
import { readWord } from "./value.ts";

const TAINTS_MAX = 16;
const EFFECTS = ["NoSchedule", "PreferNoSchedule"];
/** Written by Navarch's own marks and by Kubernetes' controllers, which would remove them again. */
const RESERVED = /^(?:navarch\.dev|node\.kubernetes\.io|node\.cloudprovider\.kubernetes\.io)\//;
const SPELLING = "key=value:NoSchedule, key:NoSchedule, or a mapping with key, value and effect";

/** Invalid taints are reported and left out. */
export function readTaints(owner: Section, key: string): PoolTaint[] | null {
  const items = owner.items(key);
  if (items === null) return null;
  if (items.length > TAINTS_MAX) owner.fail(key, "limit", `has more than ${TAINTS_MAX} taints`);
  const taints: PoolTaint[] = [];
  for (const item of items.slice(0, TAINTS_MAX)) {
    const taint = readTaint(owner.problems, item);
    if (taint === null) continue;
    const isTwice = taints.some((one) => one.key === taint.key && one.effect === taint.effect);
    if (isTwice) {
      const message = `there are two taints ${taint.key}:${taint.effect}`;
      owner.problems.error(item.at, item.path, "taint", message, "a Node can have one of them");
    } else taints.push(taint);
  }
  return taints;
}

function readTaint(problems: Problems, tree: Tree): PoolTaint | null {
  const taint = tree.kind === "map" ? readMapped(problems, tree) : readSpelled(problems, tree);
  if (taint === null) return null;
  const refuse = (message: string, hint: string): null =>
    problems.error(tree.at, tree.path, "taint", message, hint);
  const { key, value, effect } = taint;
  if (!isLabelKey(key)) return refuse(`${key} is not a valid taint key`, "write it as a label's");
  if (RESERVED.test(key)) return refuse(`${key} is a reserved key`, "choose a key of your own");
  if (value !== "" && !isLabelValue(value)) {
    return refuse(`${value} is not a valid taint value`, "write it as a label's");
  }
  if (effect === "NoExecute") {
    const why = "it evicts running pods past their disruption budgets";
    return refuse(`the effect NoExecute is not written: ${why}`, "write NoSchedule");
  }
  if (!EFFECTS.includes(effect)) {
    return refuse(`${effect} is not an effect`, `write ${EFFECTS.join(" or ")}`);
  }
  return taint;
}

function readMapped(problems: Problems, tree: Tree): PoolTaint | null {
  const section = readSection(problems, tree, tree.path, tree.at);
  const key = section.text("key");
  const value = section.read("value", readWord) ?? "";
  const effect = section.text("effect");
  section.finish();
  for (const name of ["key", "effect"]) if (!section.has(name)) section.missing(name);
  return key === null || effect === null ? null : { key, value, effect };
}

function readSpelled(problems: Problems, tree: Tree): PoolTaint | null {
  const text = readWord(problems, tree);
  const [, key, value, effect] = /^([^=:]+)(?:=([^:]*))?:([^:]+)$/.exec(text ?? "") ?? [];
  if (key !== undefined && effect !== undefined) return { key, value: value ?? "", effect };
  return problems.error(tree.at, tree.path, "taint", "not a taint", `write ${SPELLING}`);
}
