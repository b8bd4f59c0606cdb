/**
 * What the shipped account may do with AgentPools, as a real API server answers: everything that is
 * listed, nothing else, and in the narrow variant in the named namespaces alone.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { navarch } from "../../cli/spawn.ts";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: permissions of AgentPools: ${missing}`);

const GUIDE = join(ROOT, "deploy/guide/agentpool");
const ACCOUNT = "system:serviceaccount:velda:velda-apiserver";

let cluster: Cluster;

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${code}\n${out}${err}`);
  return out;
}

/** `yes` or `no`. */
async function canI(who: string, namespace: string, ...words: string[]): Promise<string> {
  const place = namespace === "" ? [] : ["-n", namespace];
  const { out } = await cluster.kubectl("auth", "can-i", ...words, `--as=${who}`, ...place);
  return out.trim();
}

type Review = {
  status: { resourceRules: { verbs: string[]; apiGroups: string[]; resources: string[] }[] };
};

/** All that an account may do in a namespace, but for what every account may. */
async function allOf(account: string, namespace: string): Promise<string[]> {
  const common = new Set(await rulesOf("system:serviceaccount:default:default", namespace));
  return (await rulesOf(account, namespace)).filter((one) => !common.has(one));
}

async function rulesOf(account: string, namespace: string): Promise<string[]> {
  const body = { spec: { namespace } };
  const headers = { "Impersonate-User": account };
  const path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
  const { status } = await cluster.json<Review>(path, { body, headers });
  return status.resourceRules
    .flatMap(({ verbs, apiGroups, resources }) =>
      apiGroups.flatMap((group) =>
        resources.map((one) => `${one}${group === "" ? "" : `.${group}`} ${verbs.join(" ")}`),
      ),
    )
    .sort();
}

const IN_NAMESPACES = [
  "agentpools.velda.io get list watch patch",
  "agentpools/finalizers.velda.io update",
  "agentpools/status.velda.io get patch",
  "configmaps get",
  "events create patch",
  "events.events.k8s.io create patch",
  "pods get list watch create delete",
];
const OF_CLUSTER = ["nodes get list watch", "tokenreviews.authentication.k8s.io create"];

describe.skipIf(missing !== null)("permissions of AgentPools", () => {
  beforeAll(async () => {
    // The controllers put aggregated roles together.
    cluster = await openCluster({ parts: { scheduler: false, kwok: false }, productRules: null });
    await ok("apply", "-f", join(GUIDE, "k8s/crd/agentpool-crd.yaml"));
    await ok("wait", "--for=condition=Established", "crd/agentpools.velda.io");
    await ok("apply", "-f", join(GUIDE, "velda-rbac.yaml"));
  }, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test("A10, V49: the account lists pools, and neither deletes nodes nor reads secrets", async () => {
    const asked = (...words: string[]) => canI(ACCOUNT, "default", ...words);
    expect(await asked("list", "agentpools.velda.io")).toBe("yes");
    expect(await canI(ACCOUNT, "", "delete", "nodes")).toBe("no");
    expect(await asked("get", "secrets")).toBe("no");
    for (const verb of ["update", "create", "delete"]) {
      expect([verb, await asked(verb, "agentpools.velda.io")]).toEqual([verb, "no"]);
    }
  }, 30_000);

  test("V48, X11: the account may do what is listed, in each namespace, and nothing else", async () => {
    for (const namespace of ["default", "kube-system"]) {
      expect(await allOf(ACCOUNT, namespace)).toEqual([...IN_NAMESPACES, ...OF_CLUSTER].sort());
    }
  });

  test("V48: it is applied again without a change", async () => {
    const lines = (await ok("apply", "-f", join(GUIDE, "velda-rbac.yaml"))).trim().split("\n");
    expect(lines).toHaveLength(6);
    expect(lines.filter((line) => !line.endsWith(" unchanged"))).toEqual([]);
  });

  test("V48: people who view or edit a namespace do so with its pools", async () => {
    for (const role of ["view", "edit", "admin"]) {
      const words = [role, `--clusterrole=${role}`, `--user=${role}`];
      await ok("-n", "default", "create", "rolebinding", ...words);
    }
    const pools = "agentpools.velda.io";
    for (const role of ["edit", "admin"]) {
      await until(`${role} is aggregated`, 20_000, async () =>
        (await canI(role, "default", "create", pools)) === "yes" ? true : null,
      );
      expect(await canI(role, "default", "delete", pools)).toBe("yes");
      expect(await canI(role, "kube-system", "create", pools)).toBe("no");
    }
    await until("view is aggregated", 20_000, async () =>
      (await canI("view", "default", "watch", pools)) === "yes" ? true : null,
    );
    expect(await canI("view", "default", "create", pools)).toBe("no");
    expect(await canI("edit", "default", "patch", pools, "--subresource=status")).toBe("no");
  }, 60_000);

  test("V48: the narrow variant, for an account that is there, ends at its namespaces", async () => {
    const account = "system:serviceaccount:navarch:navarch-control-plane";
    await ok("create", "namespace", "navarch");
    await ok("-n", "navarch", "create", "serviceaccount", "navarch-control-plane");
    const words = ["--account", "navarch/navarch-control-plane", "--in", "default"];
    const { code, out: stdin } = await navarch(["manifests", "agentpool", ...words]);
    expect(code).toBe(0);
    const applied = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect([applied.code, applied.err]).toEqual([0, ""]);
    expect(applied.out).not.toMatch(/^(serviceaccount|namespace)/m);
    expect(await allOf(account, "default")).toEqual([...IN_NAMESPACES, ...OF_CLUSTER].sort());
    expect(await allOf(account, "kube-system")).toEqual(OF_CLUSTER);
    // The wide one of the other account is untouched.
    expect(await canI(ACCOUNT, "kube-system", "list", "agentpools.velda.io")).toBe("yes");
  }, 30_000);
});
