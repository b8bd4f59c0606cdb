/** The seed's configuration of AgentPools is read as written; what is wrong is said at its key. */
import { expect, test } from "bun:test";
import { parse } from "yaml";
import type { Config } from "../../schema/config.ts";
import { convertConfig } from "./convert.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const read = (text: string) => readConfig([{ name: "f", text: `${text}\npools: []\n` }]);

function provisioners(text: string): Config["provisioners"] | undefined {
  return read(text).config?.provisioners;
}

const said = (text: string): string[] =>
  read(text)
    .problems.filter(({ severity }) => severity === "error")
    .map((problem) => formatProblem(problem).replace(/^f:[\d:]+ /, ""));

const plain = {
  namespaces: [],
  kubeconfig: null,
  context: null,
  gke: null,
  syncIntervalMs: 60_000,
};

test("V9: the namespace is one, a list, or all", () => {
  const of = (namespace: string) => provisioners(`provisioners:\n  - kubernetes: ${namespace}`);
  expect(of('{namespace: "velda"}')).toEqual([{ ...plain, namespaces: ["velda"] }]);
  expect(of("{namespace: [velda, default, velda]}")).toEqual([
    { ...plain, namespaces: ["velda", "default"] },
  ]);
  for (const all of ['{namespace: ""}', "{}", "{namespace: []}", "{sync_interval: 1m}"]) {
    expect(of(all)).toEqual([plain]);
  }
  expect(provisioners("")).toEqual([]);
});

test("V11: a cluster of GKE has a project, a location and a name", () => {
  const gke = 'gke: {project: p, location: us-central1, cluster_name: "c"}';
  expect(provisioners(`provisioners: [{kubernetes: {${gke}}}]`)).toEqual([
    { ...plain, gke: { project: "p", location: "us-central1", clusterName: "c" } },
  ]);
  expect(said("provisioners: [{kubernetes: {gke: {project: p}}}]")).toEqual([
    "provisioners[0].kubernetes.gke.location: required",
    "provisioners[0].kubernetes.gke.cluster_name: required",
  ]);
});

test.each([
  ["[]", "provisioners: needs at least one provisioner"],
  ["[{}]", "provisioners[0].kubernetes: required (write kubernetes: {namespace: …})"],
  ["[{kubernetes: {}}, {kubernetes: {}}]", "provisioners: has more than 1 provisioners"],
  ["[{kubernets: {}}]", "provisioners[0].kubernets: unknown field"],
  ["[{kubernetes: {name_space: x}}]", "provisioners[0].kubernetes.name_space: unknown field"],
  [
    "[{kubernetes: {namespace: Velda}}]",
    'provisioners[0].kubernetes.namespace: "Velda" is no name',
  ],
  ["[{kubernetes: {namespace: [7]}}]", "provisioners[0].kubernetes.namespace"],
  ["[{kubernetes: {sync_interval: 1ms}}]", "provisioners[0].kubernetes.sync_interval"],
  [
    "[{kubernetes: {context: c, gke: {project: p, location: l, cluster_name: c}}}]",
    "provisioners[0].kubernetes.context: gke names the cluster already",
  ],
])("provisioners: %s is refused", (given, message) => {
  const problems = said(`provisioners: ${given}`);
  expect(problems.some((one) => one.startsWith(message))).toBe(true);
});

test("provisioners are printed so that they read the same", () => {
  const text =
    "provisioners: [{kubernetes: {namespace: [a, b], sync_interval: 5s, " +
    "gke: {project: p, location: l, cluster_name: c}}}]";
  const { config } = read(text);
  if (config === null) throw new Error("refused");
  const printed = convertConfig(config, "list");
  expect(read(printed.replace("pools: []", "")).config?.provisioners).toEqual(config.provisioners);
  expect((parse(printed) as { provisioners: unknown[] }).provisioners).toHaveLength(1);
});
