// Talks to the routes of the original's example application and checks its answers: `node original_client.mjs`, with
// BASE, PLATFORM_TOKEN, BOT_TOKEN, MODERATOR_TOKEN and TEXTS in the environment.

import assert from "node:assert/strict";

const { BASE, PLATFORM_TOKEN, BOT_TOKEN, MODERATOR_TOKEN } = process.env;
const texts = JSON.parse(process.env.TEXTS);

async function call(token, method, path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

const post = (text) => call(PLATFORM_TOKEN, "POST", "/api/v1/posts", { text, title: "An offer" });
const health = await fetch(`${BASE}/health`);
assert.equal(health.status, 200);
assert.deepEqual(await health.json(), { status: "healthy" });

const passed = await post(texts.pass);
assert.equal(passed.status, 201);
assert.equal(passed.body.message, "Post created");
assert.equal(passed.body.data.title, "An offer");

const warned = await post(texts.warn);
assert.equal(warned.status, 201);
assert.equal(warned.body.message, "Post created with warnings");
assert.ok(warned.body.labels.length > 0);

const blocked = await post(texts.block);
assert.equal(blocked.status, 403);
assert.equal(blocked.body.error, "Content blocked by security policy");
assert.equal(blocked.body.tier, "CRITICAL");
assert.ok(blocked.body.labels.includes("CREDENTIAL"));

const released = await post(texts.hold);
assert.equal(released.status, 202);
assert.equal(released.body.message, "Content held for review");
const deleted = await post(`${texts.hold} Again.`);
assert.notEqual(released.body.quarantineId, deleted.body.quarantineId);

const inspected = await call(PLATFORM_TOKEN, "POST", "/api/v1/inspect", { text: texts.hold });
assert.equal(inspected.status, 200);
assert.equal(inspected.body.verdict, "QUARANTINE");
assert.equal(inspected.body.tier, "HIGH");
assert.ok(inspected.body.pluginResults.every((result) => result.pluginId && result.result.matches.length > 0));

const moderation = "/api/v1/moderation";
const queue = await call(BOT_TOKEN, "GET", `${moderation}/bot/queue?limit=10`);
assert.equal(queue.status, 200);
assert.equal(queue.body.total, 2);
assert.deepEqual(queue.body.items.map((item) => item.id).sort(), [released.body.quarantineId, deleted.body.quarantineId].sort());
for (const action of ["escalate", "release"]) {
  const acted = await call(BOT_TOKEN, "POST", `${moderation}/bot/action`, {
    quarantineId: released.body.quarantineId, action, confidence: 0.99, reason: "NEEDS_HUMAN_REVIEW",
  });
  assert.equal(acted.status, action === "escalate" ? 200 : 409);
  assert.ok(action === "escalate" ? acted.body.success : acted.body.error);
}

const list = await call(MODERATOR_TOKEN, "GET", `${moderation}/human/quarantine?status=UNDER_REVIEW`);
assert.equal(list.status, 200);
assert.deepEqual(list.body.items.map((item) => item.id), [released.body.quarantineId]);

const access = await call(MODERATOR_TOKEN, "POST", `${moderation}/human/content-access`, {
  quarantineId: released.body.quarantineId,
});
assert.equal(access.status, 200);
assert.ok(new Date(access.body.expiresAt) > new Date());
const content = await fetch(access.body.signedUrl);
assert.equal(content.status, 200);
assert.equal(await content.text(), texts.hold);
assert.equal((await fetch(access.body.signedUrl)).status, 403);

for (const [held, action, newStatus] of [[released, "release", "RELEASED"], [deleted, "delete", "DELETED"]]) {
  const acted = await call(MODERATOR_TOKEN, "POST", `${moderation}/human/action`, {
    quarantineId: held.body.quarantineId, action, notes: "seen",
  });
  assert.equal(acted.status, 200);
  assert.equal(acted.body.success, true);
  assert.equal(acted.body.newStatus, newStatus);
}
const refused = await call(BOT_TOKEN, "POST", `${moderation}/human/action`, {
  quarantineId: released.body.quarantineId, action: "release",
});
assert.equal(refused.status, 403);
assert.ok(refused.body.error);
console.log("all as before");
