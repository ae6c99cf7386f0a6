import createError from '@fastify/error'

export const UploadOffsetError = createError<[number, number]>('EXAMPLE_ERR_UPLOAD_OFFSET',
  'The upload goes on at byte %d, and not at %d', 409)

export const UploadLengthError = createError<[string]>('EXAMPLE_ERR_UPLOAD_LENGTH', '%s', 400)

export const UploadTooLargeError = createError<[number]>('EXAMPLE_ERR_UPLOAD_TOO_LARGE', 'A file may have %d bytes at most', 413)

export const TooManyUploadsError = createError('EXAMPLE_ERR_TOO_MANY_UPLOADS', 'The server has no room for more uploads: try again later', 503)

export const UnknownUploadError = createError<[string]>('EXAMPLE_ERR_UNKNOWN_UPLOAD', 'There is no upload %s, or no more', 404)

export const UploadExistsError = createError<[string]>('EXAMPLE_ERR_UPLOAD_EXISTS', 'There is an upload %s already', 409)

export const UploadIncompleteError = createError<[string]>('EXAMPLE_ERR_UPLOAD_INCOMPLETE', 'The upload %s is not complete', 409)

export const UploadGivenUpError = createError('EXAMPLE_ERR_UPLOAD_GIVEN_UP', 'The upload was given up', 410)

export const UploadTakenOverError = createError('EXAMPLE_ERR_UPLOAD_TAKEN_OVER', 'Another request goes on with the upload', 409)
