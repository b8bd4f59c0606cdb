/** Stub: signatures only, the body follows. */
import type { Policy } from "../../schema/policy.ts";

export const builtinPolicy: Policy = { version: "v1", name: "builtin", description: null, rules: [], hash: "" };
