/**
 * The `kubernetes` block (`navarch/config.md` §10), keys as written and defaults filled in.
 */
import { isLabelKey } from "./label.ts";
import type { Section } from "./section.ts";
import { readFlag } from "./value.ts";

const MIRRORED = ["cordon", "drain", "condition", "labels", "delete_node"] as const;

export function readKubernetes(section: Section): Record<string, unknown> {
  const enabled = readEnabled(section);
  const kubeconfig = section.text("kubeconfig");
  const context = section.text("context");
  const podLabel = section.text("pod_label");
  if (podLabel !== null && !isLabelKey(podLabel)) {
    section.fail("pod_label", "label", "not a valid label key", "the default is navarch.dev/pool");
  }
  const mirror = section.map("mirror");
  const mirrored = Object.fromEntries(MIRRORED.map((key) => [key, mirror.flag(key) ?? true]));
  const taint = mirror.flag("taint") ?? false;
  mirror.finish();
  section.finish();
  return {
    enabled,
    kubeconfig,
    context,
    pod_label: podLabel ?? "navarch.dev/pool",
    mirror: { ...mirrored, taint },
  };
}

function readEnabled(section: Section): boolean | "auto" {
  const entry = section.look("enabled");
  if (entry === null) return "auto";
  if (entry.value.kind === "scalar" && entry.value.value === "auto") return "auto";
  return readFlag(section.problems, entry.value) ?? "auto";
}
