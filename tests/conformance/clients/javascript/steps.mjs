// What each program prints: a line for each thing that its client did. The first that fails ends the program.

import assert from "node:assert/strict";

export const at = process.env;
export const user = { user: "ada", password: "fake-app-password" };

export async function step(name, act) {
  await act();
  console.log(`ok ${name}`);
}

/** The client's promise fails with this status of HTTP; `status` finds it in the client's own error. */
export async function refused(promise, wanted, status) {
  await assert.rejects(promise, (error) => {
    assert.equal(status(error), wanted);
    return true;
  });
}
