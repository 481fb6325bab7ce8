import Type from 'typebox';
import { Name, nothing, nullable, strict, UserId } from './common.ts';
import { endpoint, roles } from './endpoint.ts';

export const usernamePattern = '^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,49}$';
export const RoleName = Type.Enum(roles, {
  description: 'The permissions of the account. Each role includes the ones before it: member, viewer, editor, admin.',
});
const Password = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'Taken verbatim. In production 8–128 characters and not a common password, in evaluation mode 1–128.',
});
/** A password that is only compared has no form: anything wrong is the same 401. */
const Claimed = Type.String();

export const signIn = endpoint({
  method: 'POST',
  path: '/auth/sign-in',
  id: 'signIn',
  tag: 'auth',
  summary: 'Open a session',
  access: 'public',
  seed: true,
  body: strict({ username: Claimed, password: Claimed }),
  success: {
    status: 200,
    body: strict({ token: Type.String({ description: 'For `Authorization: Bearer …`, 12 hours unless configured.' }) }),
  },
  problems: ['sign_in_failed', 'throttled', 'overloaded'],
  example: {
    body: { username: 'ann', password: 'qwerty' },
    answer: { token: 'eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoyfQ.c2lnbmF0dXJl' },
  },
});

export const signUp = endpoint({
  method: 'POST',
  path: '/auth/sign-up',
  id: 'signUp',
  tag: 'auth',
  summary: 'Create an account and its user',
  access: 'public',
  seed: true,
  body: strict({
    name: Name,
    username: Type.String({ pattern: usernamePattern, description: 'Unique without regard to case.' }),
    password: Password,
  }),
  success: { status: 200, body: strict({ id: UserId }) },
  problems: ['sign_up_closed', 'username_taken', 'throttled', 'overloaded'],
  example: {
    body: { name: 'Ann', username: 'ann', password: 'qwerty' },
    answer: { id: 2 },
  },
});

export const signOut = endpoint({
  method: 'POST',
  path: '/auth/sign-out',
  id: 'signOut',
  tag: 'auth',
  summary: 'End this session',
  access: 'session',
  success: nothing,
  example: {},
});

export const me = endpoint({
  method: 'GET',
  path: '/auth/me',
  id: 'me',
  tag: 'auth',
  summary: 'Who this token belongs to',
  access: 'session',
  success: {
    status: 200,
    body: strict(
      { id: UserId, username: Type.String(), name: nullable(Type.String()), role: RoleName },
      { title: 'Me' },
    ),
  },
  example: { answer: { id: 2, username: 'ann', name: 'Ann', role: 'member' } },
});

export const changePassword = endpoint({
  method: 'POST',
  path: '/auth/password',
  id: 'changePassword',
  tag: 'auth',
  summary: 'Change the password; every other session of the account ends',
  access: 'session',
  body: strict({ current_password: Claimed, new_password: Password }),
  success: nothing,
  problems: ['sign_in_failed', 'throttled', 'overloaded'],
  example: { body: { current_password: 'qwerty', new_password: 'correct horse battery staple' } },
});
