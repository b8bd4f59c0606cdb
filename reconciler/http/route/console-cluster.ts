/** What the routes of the cluster share: names, and the answer of the cluster or its refusal. */
import type { Context } from "hono";
import * as v from "valibot";
import type { Asked, ConsoleCluster, Failed } from "../../core/console/cluster.ts";
import type { Env, RoutePorts } from "./route.ts";
import { invalid, Refusal } from "./request.ts";

const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/** A DNS label, as namespaces and containers have; empty counts as absent. */
export const labelOf = (what: string) =>
  v.optional(
    v.pipe(
      v.string(),
      v.check((given) => given === "" || LABEL.test(given), `expected the name of a ${what}`),
      v.transform((given) => (given === "" ? null : given)),
    ),
  );

export const namespace = labelOf("namespace");

/** `namespace/name`. */
export function isPlace(text: string): boolean {
  const [inside = "", name = "", ...more] = text.split("/");
  return LABEL.test(inside) && SUBDOMAIN.test(name) && more.length === 0;
}

/** Throws the refusal of an answer that is none. */
export function valueOf<T>(asked: Asked<T>): T {
  if (asked.kind === "ok") return asked.value;
  throw new Refusal(asked.code, asked.message);
}

export const NO_CLUSTER: Failed = {
  ...{ kind: "failed", code: "unavailable" },
  message:
    "no Kubernetes cluster is attached to this control plane, or it does not lead; " +
    "see kubernetes.enabled in the configuration",
};

export type ConsolePorts = RoutePorts & {
  /** The cluster that the console shows; `null` without one, and on a standby. */
  console: ConsoleCluster | null;
};

export function clusterOf({ console: cluster }: ConsolePorts): ConsoleCluster {
  return cluster ?? valueOf(NO_CLUSTER);
}

export const isObjectName = (text: string): boolean => SUBDOMAIN.test(text);

/** A name from the path; throws for what no object can be called. */
export function nameOf(c: Context<Env>, key: string): string {
  const name = c.req.param(key) ?? "";
  return isObjectName(name) ? name : invalid(`${key}: expected the name of an object`);
}
