/** Flux objects in the console, on a real API server with the kinds of several versions: A12. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { FluxObject } from "../../../schema/console/cluster.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { ConsoleBed, FILES } from "./kube-bed.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: Flux in the console: ${missing}`);

test("a Kubernetes API server is here to serve kinds of Flux", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

type Crd = { metadata: { name: string }; spec: { versions: { name: string }[] } };

const KINDS = ["kustomizations", "helmreleases", "gitrepositories", "helmrepositories"] as const;
type Versions = Record<(typeof KINDS)[number], string>;

const OLDEST: Versions = {
  ...{ kustomizations: "v1beta2", helmreleases: "v2beta1" },
  ...{ gitrepositories: "v1beta2", helmrepositories: "v1beta2" },
};
/** One group in two versions, of which the preferred one lacks a kind. */
const BETWEEN: Versions = {
  ...{ kustomizations: "v1", helmreleases: "v2beta2" },
  ...{ gitrepositories: "v1", helmrepositories: "v1beta2" },
};

describe.skipIf(missing !== null)("Flux in the console", () => {
  let bed: ConsoleBed;
  beforeAll(async () => {
    await buildStale();
    bed = await ConsoleBed.open();
  }, 600_000);
  afterAll(async () => {
    expect(await bed?.close()).toEqual([]);
  }, 120_000);

  const list = async (): Promise<FluxObject[]> => {
    return (await bed.call("kubernetes/flux")).json() as FluxObject[];
  };

  const install = async (versions: Versions): Promise<void> => {
    const text = await Bun.file(join(FILES, "flux-crds.yaml")).text();
    const crds = parseAllDocuments(text).map((each) => each.toJS() as Crd);
    for (const crd of crds) {
      const [plural = ""] = crd.metadata.name.split(".");
      const [version] = crd.spec.versions;
      if (version !== undefined) version.name = versions[plural as keyof Versions];
    }
    await bed.apply(...crds);
    for (const { metadata } of crds) {
      await bed.kubectl("wait", "--for=condition=Established", `crd/${metadata.name}`);
    }
  };

  const uninstall = async (): Promise<void> => {
    const text = await Bun.file(join(FILES, "flux-crds.yaml")).text();
    const names = parseAllDocuments(text).map((each) => (each.toJS() as Crd).metadata.name);
    await bed.kubectl("delete", "crd", ...names);
  };

  test("C76: without the kinds of Flux the list is empty and says so", async () => {
    const answer = await bed.call("kubernetes/flux");
    expect([answer.status, answer.json()]).toEqual([200, [] as never]);
    expect(answer.headers.get("warning")).toContain("does not serve HelmRelease");
    const none = await bed.post("kubernetes/flux/helmrelease/flux-system/x/reconcile", {});
    expect([none.status, none.json()]).toMatchObject([404, { code: "not_found" }]);
  });

  for (const [name, versions] of Object.entries({ oldest: OLDEST, between: BETWEEN })) {
    test(`C74: kinds are read in the versions that the cluster serves (${name})`, async () => {
      await install(versions);
      await bed.kubectl("create", "namespace", `flux-${name}`);
      const source = { sourceRef: { kind: "GitRepository", name: "flux-system" } };
      const of = (kind: string, group: string, plural: keyof Versions, spec: object) => ({
        ...{ apiVersion: `${group}.toolkit.fluxcd.io/${versions[plural]}`, kind },
        ...{ metadata: { name: "kai-charts", namespace: `flux-${name}` }, spec },
      });
      const url = "https://user:secret@charts.example.test/kai";
      await bed.apply(
        of("Kustomization", "kustomize", "kustomizations", source),
        of("HelmRelease", "helm", "helmreleases", { chart: { spec: source } }),
        of("GitRepository", "source", "gitrepositories", { url }),
        of("HelmRepository", "source", "helmrepositories", { url }),
      );
      // A version that was known is asked for until it is found to be gone.
      const found = await until("all four are listed", 40_000, async () => {
        const all = (await list()).filter(({ namespace }) => namespace === `flux-${name}`);
        return all.length === 4 ? all : null;
      });
      const shown = found.map(({ type, apiVersion }) => `${type} ${apiVersion.split("/")[1]}`);
      expect(shown.sort()).toEqual([
        `GitRepository ${versions.gitrepositories}`,
        `HelmRelease ${versions.helmreleases}`,
        `HelmRepository ${versions.helmrepositories}`,
        `Kustomization ${versions.kustomizations}`,
      ]);
      const sources = found.map(({ type, source: from }) => `${type} ${from}`).sort();
      expect(sources).toEqual([
        "GitRepository https://charts.example.test/kai",
        "HelmRelease GitRepository/flux-system",
        "HelmRepository https://charts.example.test/kai",
        "Kustomization GitRepository/flux-system",
      ]);
      expect(new Set(found.map(({ status }) => status))).toEqual(new Set(["Reconciling"]));
      await uninstall();
      await until("nothing is listed", 40_000, async () => {
        return (await list()).length === 0 ? true : null;
      });
    }, 120_000);
  }

  test("A12, C10, C76: a release that failed has suggestions, and is reconciled on request", async () => {
    await bed.kubectl("apply", "-f", join(FILES, "flux-crds.yaml"));
    const crd = "crd/helmreleases.helm.toolkit.fluxcd.io";
    await bed.kubectl("wait", "--for=condition=Established", crd);
    await bed.kubectl("apply", "-f", join(FILES, "helmrelease.yaml"));
    const ready = {
      ...{ type: "Ready", status: "False", reason: "ArtifactFailed", message: "chart not found" },
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    const status = JSON.stringify({ status: { conditions: [ready] } });
    const merge = ["--subresource=status", "--type=merge", "-p", status];
    await bed.kubectl("-n", "flux-system", "patch", "hr", "coordinator", ...merge);
    const release = async (): Promise<FluxObject | undefined> => {
      return (await list()).find(({ name }) => name === "coordinator");
    };
    const failed = await until("the release is listed", 40_000, async () => {
      return (await release()) ?? null;
    });
    expect(failed).toMatchObject({ status: "Failed", error: "chart not found" });
    expect(failed.suggestions.length).toBeGreaterThan(0);
    expect(failed.lastUpdated).toBe("2026-01-01T00:00:00Z");
    const path = "kubernetes/flux/helmrelease/flux-system/coordinator";
    expect((await bed.post(`${path}/reconcile`, {})).status).toBe(200);
    const object = async (): Promise<{ metadata: { annotations: Record<string, string> } }> => {
      const text = await bed.kubectl("-n", "flux-system", "get", "hr", "coordinator", "-o", "json");
      return JSON.parse(text);
    };
    const { annotations } = (await object()).metadata;
    expect(Date.parse(annotations["reconcile.fluxcd.io/requestedAt"] ?? "")).toBeGreaterThan(0);
    expect((await bed.post(`${path}/suspend`, {})).status).toBe(200);
    expect(await object()).toMatchObject({ spec: { suspend: true } });
    expect((await release())?.status).toBe("Suspended");
    const refused = await bed.post(`${path}/reconcile`, {});
    expect([refused.status, refused.text]).toEqual([409, expect.stringContaining("resume")]);
    expect((await bed.post(`${path}/resume`, {})).status).toBe(200);
    expect((await release())?.status).toBe("Failed");
    const rows = (await bed.call("audit?kind=flux&limit=4")).json() as Record<string, string>[];
    expect(rows.map(({ verb, result }) => `${verb} ${result}`)).toEqual([
      ...["resume ok", "reconcile conflict", "suspend ok", "reconcile ok"],
    ]);
    expect(rows[0]).toMatchObject({ namespace: "flux-system", name: "coordinator" });
    expect((await bed.post(`${path.replace("helmrelease", "secret")}/suspend`, {})).status).toBe(
      400,
    );
  }, 120_000);
});
