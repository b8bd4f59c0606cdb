/** The classes of Compute Engine's errors, and what names and ids are made of. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { classify, endedClass, type FailureClass, readRefusal } from "./error.ts";
import { idOf, isOfFleet, labelOf, partsOf, requestIdOf } from "./name.ts";

/** As kubernetes/autoscaler (`cloudprovider/gce`) and others classify them. */
const CODES: readonly (readonly [string, FailureClass])[] = [
  ["RESOURCE_POOL_EXHAUSTED", "capacity"],
  ["ZONE_RESOURCE_POOL_EXHAUSTED", "capacity"],
  ["ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "capacity"],
  ["insufficientCapacity", "capacity"],
  ["UNSUPPORTED_OPERATION", "capacity"],
  ["QUOTA_EXCEEDED", "quota"],
  ["quotaExceeded", "quota"],
  ["GPU_QUOTA_EXCEEDED", "quota"],
  ["rateLimitExceeded", "rate_limit"],
  ["userRateLimitExceeded", "rate_limit"],
  ["RATE_LIMIT_EXCEEDED", "rate_limit"],
  ["RESOURCE_OPERATION_RATE_EXCEEDED", "rate_limit"],
  ["resourceNotReady", "rate_limit"],
  ["BILLING_DISABLED", "billing"],
  ["UREQ_PROJECT_BILLING_NOT_FOUND", "billing"],
  ["PERMISSIONS_ERROR", "auth"],
  ["IAM_PERMISSION_DENIED", "auth"],
  ["forbidden", "auth"],
  ["accessNotConfigured", "auth"],
  ["SERVICE_DISABLED", "auth"],
  ["IP_SPACE_EXHAUSTED_WITH_DETAILS", "bad_request"],
  ["CONDITION_NOT_MET", "bad_request"],
  ["conditionNotMet", "bad_request"],
  ["invalid", "bad_request"],
  ["INVALID_FIELD_VALUE", "bad_request"],
  ["required", "bad_request"],
  ["alreadyExists", "exists"],
  ["RESOURCE_ALREADY_EXISTS", "exists"],
  ["notFound", "not_found"],
  ["RESOURCE_NOT_FOUND", "not_found"],
  ["INTERNAL_ERROR", "unknown"],
  ["backendError", "unknown"],
  ["NEVER_HEARD_OF", "unknown"],
];

describe("classify()", () => {
  test.each(CODES)("%s is %s", (code, cls) => expect(classify([code], "")).toBe(cls));

  test.each([
    "Specified reservation [r] does not have available resources for the request.",
    "No available resources in specified reservations.",
  ])("%s is capacity, whatever its code", (message) => {
    expect(classify(["invalid"], message)).toBe("capacity");
  });

  test("the most precise code counts", () => {
    const error = {
      code: 403,
      message: "m",
      status: "PERMISSION_DENIED",
      errors: [{ reason: "forbidden" }],
      details: [{ "@type": "x" }, { reason: "BILLING_DISABLED" }],
    };
    expect(readRefusal({ error })).toEqual({ class: "billing", message: "BILLING_DISABLED: m" });
    expect(readRefusal({ error: "no" })).toBeNull();
  });

  test("a failed operation never asks for a repeat, which would give it again", () => {
    for (const [, cls] of CODES) {
      expect(["rate_limit", "auth", "stale_fence"]).not.toContain(endedClass(cls));
    }
  });
});

test("a request id is a UUID that Compute Engine takes, one for each token", () => {
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/;
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(fc.string(), fc.string(), (fleet, token) => {
      const id = requestIdOf(fleet, token);
      expect(id).toMatch(uuid);
      expect(requestIdOf(fleet, token)).toBe(id);
      expect(isOfFleet(id, fleet)).toBe(true);
      expect(isOfFleet(id, `${fleet}x`)).toBe(false);
      const key = JSON.stringify([fleet, token]);
      expect(seen.get(id) ?? key).toBe(key);
      seen.set(id, key);
    }),
  );
});

test("a label has Compute Engine's alphabet, and an id its parts", () => {
  fc.assert(fc.property(fc.string(), (text) => /^[a-z0-9_-]{0,63}$/.test(labelOf(text))));
  const id = idOf("us-central1-a", "f-train-0-1", "42");
  expect(partsOf(id)).toEqual({ zone: "us-central1-a", number: "42" });
  for (const odd of ["", "a/b", "a/b/0", "a/B/1", "../../x/1", "a/b/1/2"]) {
    expect(partsOf(odd as typeof id)).toBeNull();
  }
});
