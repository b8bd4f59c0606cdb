/** The `kubernetes` block, defaults filled in. */
import type { KubernetesConfig } from "../../schema/config.ts";
import { serverOf } from "../core/address.ts";
import { isLabelKey } from "./label.ts";
import type { Section } from "./section.ts";
import { readFlag } from "./value.ts";

/** Twice what a burst of 750 nodes with 15 pods each needs to be empty within 2.5 minutes. */
const WRITES_PER_SECOND_MAX = 200;

/** A GPU operator that builds a driver needs some ten minutes until its device plugin speaks. */
const READY_TIMEOUT_MS = 15 * 60_000;

/** Broken hardware that takes work again costs jobs: people are reminded each hour. */
const UNCORDON_REVIEW_MS = 3_600_000;

export function readKubernetes(section: Section): KubernetesConfig {
  const enabled = readEnabled(section);
  const kubeconfig = section.text("kubeconfig");
  const context = section.text("context");
  const podLabel = section.text("pod_label");
  if (podLabel !== null && !isLabelKey(podLabel)) {
    section.fail("pod_label", "label", "not a valid label key", "the default is navarch.dev/pool");
  }
  const onUncordon = section.choice("on_uncordon", ["cancel", "enforce"]);
  const uncordonReviewMs = section.duration("uncordon_review", { min: 0 });
  const agentAccount = readAccount(section);
  const writes = section.integer("writes_per_second_max", { min: 1, max: 10_000 });
  const ready = section.choice("ready", ["gpus", "node", "off"]);
  const readyTimeoutMs = section.duration("ready_timeout", { min: 1 });
  const join = section.map("join");
  const server = readServer(join);
  join.finish();
  const mirror = section.map("mirror");
  const mirrored = {
    cordon: mirror.flag("cordon") ?? true,
    drain: mirror.flag("drain") ?? true,
    condition: mirror.flag("condition") ?? true,
    labels: mirror.flag("labels") ?? true,
    deleteNode: mirror.flag("delete_node") ?? true,
    taint: mirror.flag("taint") ?? false,
  };
  mirror.finish();
  section.finish();
  return {
    enabled,
    kubeconfig,
    context,
    podLabel: podLabel ?? "navarch.dev/pool",
    onUncordon: onUncordon ?? "cancel",
    uncordonReviewMs: uncordonReviewMs ?? UNCORDON_REVIEW_MS,
    agentAccount,
    join: { server },
    mirror: mirrored,
    ready: ready ?? "gpus",
    readyTimeoutMs: readyTimeoutMs ?? READY_TIMEOUT_MS,
    writesPerSecondMax: writes ?? WRITES_PER_SECOND_MAX,
  };
}

/** As kubeadm dials it, always with its port. */
function readServer(join: Section): string | null {
  const text = join.text("server");
  if (text === null) return null;
  const server = serverOf(text);
  if (server === null) {
    const found = JSON.stringify(text);
    const message = `expected https://host:port without a path, found ${found}`;
    join.fail("server", "address", message, 'write for example "https://10.0.0.1:6443"');
  }
  return server;
}

/** Both parts are DNS subdomains (Kubernetes, "Object Names and IDs"). */
const ACCOUNT = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/;

function readAccount(section: Section): string | null {
  const text = section.text("agent_account");
  if (text === null || ACCOUNT.test(text)) return text;
  const message = `expected NAMESPACE/NAME of a service account, found ${JSON.stringify(text)}`;
  section.fail("agent_account", "account", message, "for example navarch/navarch-node-agent");
  return null;
}

function readEnabled(section: Section): boolean | "auto" {
  const entry = section.look("enabled");
  if (entry === null) return "auto";
  if (entry.value.kind === "scalar" && entry.value.value === "auto") return "auto";
  return readFlag(section.problems, entry.value) ?? "auto";
}
