// Owns: what fids are after a rename. A fid names a file (intro(9P)), so it goes on naming that file under its new
// name, also when another file gets the old one. Where fids are paths it does not, and a client that believes in fids
// changes the wrong file. Each question is asked about each message that renames.
// Guarantees: a message that the server does not have makes a rule not apply; a rename that is refused makes it
// unclear, since other rules say whether files can be renamed.

import { notApplicable, type Rule, rulesOf, unclear } from '../rule.ts';
import { isMissing } from '../steps.ts';
import { sceneOf } from './identity.ts';
import { againQuestions } from './renaming/again.ts';
import type { Question } from './renaming/fids.ts';
import { type Renaming, renamings } from './renaming/messages.ts';
import { plainQuestions } from './renaming/plain.ts';

function ruleOf(renaming: Renaming, { suffix, text, begin }: Question): Rule {
  const { message, prefix, section, dialect, move } = renaming;
  return rulesOf(section, dialect)(`${prefix}-${suffix}`, 'home', text(message), async (probe, place) => {
    const scene = sceneOf(probe, place);
    const judge = await begin(scene);
    const answer = await move(scene);
    if (isMissing(answer)) return notApplicable(answer);
    return answer.type === `R${message.slice(1)}` ? judge() : unclear(`${message}:`, answer);
  });
}

/** The rules about what fids are after one message. */
export function renamingRules(message: Renaming['message']): readonly Rule[] {
  return renamings
    .filter((renaming) => renaming.message === message)
    .flatMap((renaming) => [...plainQuestions, ...againQuestions].map((question) => ruleOf(renaming, question)));
}
