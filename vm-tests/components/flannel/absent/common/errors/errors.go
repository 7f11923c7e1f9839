// Package errors has the error that the SDK would give.
package errors

// TencentCloudSDKError is never made here.
type TencentCloudSDKError struct{}

func (*TencentCloudSDKError) Error() string { return "there is no such cloud here" }
