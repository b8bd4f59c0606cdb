/**
 * `navarch manifests kubernetes`: prints the objects of `deploy/`, which the binary holds, so that
 * the manifests and the program have one version.
 */
import { databaseDefault, renderManifests } from "../../deploy/render.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { isNamespace, showManifests } from "../manifest.ts";

const TAG = /^\w[\w.-]{0,127}$/;
const DATABASE = /^(libsql|https?|wss?):\/\/[^\s"'#]+$/;

export const manifestsKubernetes: Command = {
  name: ["manifests", "kubernetes"],
  usage: "",
  summary: "print the manifests that install Navarch in a cluster",
  examples: ["navarch manifests kubernetes | kubectl apply -f -"],
  more:
    "For kubectl apply -f -. The Secret has no values; its comment explains how to set them.\n" +
    "With --ha the store is a libSQL server, which the manifests do not include.",
  flags: [
    textFlag("namespace", "NAME", "namespace to install in (default navarch)"),
    textFlag("image-tag", "TAG", "tag of both images (default: this version)"),
    switchFlag("ha", "two replicas on one libSQL server"),
    textFlag(
      "database",
      "URL",
      "libSQL server for --ha (default: the Service libsql of the namespace)",
    ),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const namespace = flags.text("namespace");
    if (namespace !== null && !isNamespace(namespace)) {
      return usage(`--namespace ${namespace}: expected lower-case letters, digits and dashes`);
    }
    const imageTag = flags.text("image-tag");
    if (imageTag !== null && !TAG.test(imageTag)) {
      return usage(`--image-tag ${imageTag}: expected letters, digits, dots, dashes`);
    }
    const given = flags.text("database");
    if (given !== null && !flags.on("ha")) return usage("--database needs --ha");
    if (given !== null && !DATABASE.test(given)) {
      return usage(`--database ${given}: expected the URL of a libSQL server`);
    }
    const database = flags.on("ha") ? (given ?? databaseDefault(namespace)) : null;
    if (database !== null && given === null) {
      world.err(`note: --ha expects a libSQL server at ${database}; --database names another\n`);
    }
    return showManifests(context, renderManifests({ namespace, imageTag, database }));
  },
};
